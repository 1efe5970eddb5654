//! Operations on single elements.

use tealight::prelude::*;

crate::expressions! {
    [x]:
        x.exp(), x.ln(), x.sqr(), x.sqrt(), x.recip(), x.neg(), x.abs(), x.sin(), x.cos(), x.tanh(),
        x.sigmoid(), x.relu(), x.erf(), sigmoid_derivative(x),
        x.powf(-2.0), x.powf(-0.5), x.powf(0.0), x.powf(0.5), x.powf(1.0), x.powf(2.0), x.powf(3.0),
        x.powf(7.0), x.powf(2.5), x.powf(-1.0), x.clamp(-1.0, 1.5),
        x + 2.5, 2.5 + x, x - 2.5, 2.5 - x, x * 2.5, 2.5 * x, x / 2.5, 2.5 / x, -x;
    [a, b]:
        a.add(b), a.sub(b), a.mul(b), a.div(b), a.pow(b), a.maximum(b), a.minimum(b), a.eq(b), a.ne(b),
        a.lt(b), a.le(b), a.gt(b), a.ge(b);
    [m, a, b]:
        m.where_cond(a, b);
}
