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

/// [`kept`], or none where a convolution is a product: inlined, so that the loops of the others are left out of a page.
#[inline(always)]
fn plan<T: Element, P: 'static>(
    name: &'static str,
    conv: &Conv,
    make: fn(&Conv) -> Option<P>,
) -> Option<Rc<P>> {
    if Conv::is_product_only::<T>() {
        return None;
    }
    // A page has no room for the list.
    if cfg!(target_arch = "wasm32") { make(conv).map(Rc::new) } else { kept::<T, P>(name, conv, make) }
}

/// What `make` makes of the sizes, or made of them before.
#[inline(never)]
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
    #[inline(always)]
    pub(super) fn blocked<T: Element>(&self) -> Option<Rc<Blocked>> {
        plan::<T, _>("blocked", self, Blocked::new::<T>)
    }

    /// [`Blocked::transpose`]
    #[inline(always)]
    pub(super) fn blocked_transpose<T: Element>(&self) -> Option<Rc<Blocked>> {
        plan::<T, _>("blocked_transpose", self, Blocked::transpose::<T>)
    }

    /// [`Direct::new`]
    #[inline(always)]
    pub(super) fn direct<T: Element>(&self) -> Option<Rc<Direct>> {
        plan::<T, _>("direct", self, Direct::new::<T>)
    }

    /// [`Phases::new`]
    #[inline(always)]
    pub(super) fn phases<T: Element>(&self) -> Option<Rc<Phases>> {
        plan::<T, _>("phases", self, Phases::new::<T>)
    }
}
