//! Operations on single elements.

use tealight::functional::sigmoid_derivative;
use tealight::prelude::*;

crate::expressions! {
    [x]:
        x.exp(), x.expm1(), x.ln(), x.log2(), x.log10(), x.log1p(), x.sqr(), x.sqrt(), x.rsqrt(),
        x.recip(), x.neg(), x.abs(), x.sin(), x.cos(), x.tan(), x.asin(), x.acos(), x.atan(), x.sinh(),
        x.cosh(), x.tanh(), x.sigmoid(), x.softplus(), x.relu(), x.elu(1.5), x.leaky_relu(0.25), x.gelu(), x.silu(), x.erf(), x.erfc(), x.floor(), x.ceil(),
        x.round(), x.trunc(), x.sign(), sigmoid_derivative(x),
        x.powf(-2.0), x.powf(-0.5), x.powf(0.0), x.powf(0.5), x.powf(1.0), x.powf(2.0), x.powf(3.0),
        x.powf(7.0), x.powf(2.5), x.powf(-1.0), x.clamp(-1.0, 1.5),
        x + 2.5, 2.5 + x, x - 2.5, 2.5 - x, x * 2.5, 2.5 * x, x / 2.5, 2.5 / x, -x, x.full_like(2.5);
    [a, b]:
        a.add(b), a.sub(b), a.mul(b), a.div(b), a.pow(b), a.maximum(b), a.minimum(b), a.atan2(b),
        a.remainder(b), a.fmod(b), a.fmax(b), a.fmin(b), a.logaddexp(b), a.xlogy(b), a.eq(b), a.ne(b), a.lt(b), a.le(b), a.gt(b), a.ge(b), a.lerp(b, 0.25);
    [a]:
        a.remainder(2.5), a.fmod(2.5), a.pow(2.5), a.maximum(0.5), a.minimum(0.5), a.eq(2.0), a.ne(2.0), a.lt(2.0),
        a.le(2.0), a.gt(2.0), a.ge(2.0);
    [a, b, c]:
        a.lerp(b, c);
    [x, a, b]:
        x.addcmul(a, b, 1.0), x.addcmul(a, b, -0.5);
    [m, a, b]:
        m.where_cond(a, b);
    []:
        Tensor::arange_step(0.0, 1.0, 0.25, &Device::Cpu),
        Tensor::arange_step(5.0, 0.5, -2.0, &Device::Cpu);
}
