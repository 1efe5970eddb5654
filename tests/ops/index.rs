//! Indices and masks.

crate::expressions! {
    [x]:
        x.i(1), x.i((.., -1)), x.i((1.., ..=1)), x.i((0, 1, -2)), x.i(-2..), x.i(1..1);
    [x, i]:
        x.index_select(0, i), x.index_select(1, i), x.index_select(-1, i),
        x.i(i), x.i((.., i)), x.i((i, 1..)),
        x.gather(0, i), x.gather(1, i), x.gather(-1, i);
}
