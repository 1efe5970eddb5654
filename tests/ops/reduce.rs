//! Sums and what else runs along axes: extrema, counts, sorts, softmax.

crate::expressions! {
    [x]:
        x.sum(0), x.sum(-1), x.sum_keepdim(1), x.sum_all(), x.sum(1),
        x.mean(0), x.mean(-1), x.mean_keepdim(1), x.mean_all(),
        x.max(0), x.max(-1), x.max_keepdim(1), x.max_all(), x.max(1),
        x.min(0), x.min(-1), x.min_keepdim(1), x.min_all(), x.min(1),
        x.argmax(0), x.argmax(1), x.argmax(-1), x.argmin(0), x.argmin(1), x.argmin(-1),
        x.softmax(0), x.softmax(1), x.softmax(-1),
        x.log_softmax(0), x.log_softmax(1), x.log_softmax(-1), x.normalize_rows();
}
