//! How convolutions are computed: what follows from the sizes alone is kept for the next call.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

use super::blocked::Blocked;
use super::direct::{Direct, Phases};
use super::{Conv, Element};

/// Plans that a thread keeps.
const KEPT: usize = 128;

/// Which plan it is, and the bytes of an element.
type Key = (&'static str, usize, Conv);

/// A plan; none where another way is faster.
type Kept = Option<Rc<dyn Any>>;

thread_local! {
    static PLANS: RefCell<Vec<(Key, Kept)>> = const { RefCell::new(Vec::new()) };
}

/// What `make` makes of the sizes, or made of them before.
fn kept<T: Element, P: 'static>(
    name: &'static str,
    conv: &Conv,
    make: fn(&Conv) -> Option<P>,
) -> Option<Rc<P>> {
    let key = (name, size_of::<T>(), *conv);
    PLANS.with_borrow_mut(|plans| {
        let plan = match plans.iter().find(|(own, _)| *own == key) {
            Some((_, plan)) => plan.clone(),
            None => {
                let plan: Kept = make(conv).map(|plan| Rc::new(plan) as Rc<dyn Any>);
                if plans.len() == KEPT {
                    plans.remove(0);
                }
                plans.push((key, plan.clone()));
                plan
            }
        };
        plan.map(|plan| plan.downcast().expect("a name has one type"))
    })
}

impl Conv {
    /// [`Blocked::new`]
    pub(super) fn blocked<T: Element>(&self) -> Option<Rc<Blocked>> {
        kept::<T, _>("blocked", self, Blocked::new::<T>)
    }

    /// [`Blocked::transpose`]
    pub(super) fn blocked_transpose<T: Element>(&self) -> Option<Rc<Blocked>> {
        kept::<T, _>("blocked_transpose", self, Blocked::transpose::<T>)
    }

    /// [`Direct::new`]
    pub(super) fn direct<T: Element>(&self) -> Option<Rc<Direct>> {
        kept::<T, _>("direct", self, Direct::new::<T>)
    }

    /// [`Phases::new`]
    pub(super) fn phases<T: Element>(&self) -> Option<Rc<Phases>> {
        kept::<T, _>("phases", self, Phases::new::<T>)
    }
}
