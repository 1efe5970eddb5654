//! Products of matrices, and linear algebra.

crate::expressions! {
    [a, b]:
        a.matmul(b), a.dot(b), a.outer(b), a.matvec(b);
}
