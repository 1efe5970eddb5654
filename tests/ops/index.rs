//! Indices and masks.

use tealight::ops::step;
use tealight::prelude::*;

crate::expressions! {
    [x]:
        x.i(1), x.i((.., -1)), x.i((1.., ..=1)), x.i((0, 1, -2)), x.i(-2..), x.i(1..1), x.i(step(.., 2)),
        x.i((.., step(1..4, 2))), x.i(step(.., -1)), x.i((step(..4, -2), 0)), x.nonzero();
    [x, i]:
        x.index_select(0, i), x.index_select(1, i), x.index_select(-1, i),
        x.i(i), x.i((.., i)), x.i((i, 1..)), x.i((.., i, ..1)),
        x.gather(0, i), x.gather(1, i), x.gather(-1, i);
    [x, i, s]:
        x.scatter(0, i, s), x.scatter(1, i, s), x.scatter(-1, i, s),
        x.scatter_add(0, i, s), x.scatter_add(1, i, s), x.scatter_add(-1, i, s),
        x.index_add(0, i, s), x.index_add(-1, i, s), x.index_add(1, i, s), x.assign(i, s);
    [x, i, j]:
        x.i((i, j)), x.i((.., i, j)), x.i((i, .., j)), x.i((i, 1, j));
    [x, i, j, s]:
        x.assign((i, j), s);
    [x, m]:
        x.masked_select(m), x.masked_fill(m, -1.5);
    [x, m, s]:
        x.masked_scatter(m, s);
    [i]:
        i.one_hot(4, DType::F64);
    [x, s]:
        x.assign(1, s), x.assign((.., 1..3), s), x.assign((0, -1), s), x.assign(.., s),
        x.assign(step(.., 2), s), x.assign((.., step(.., -2)), s);
}
