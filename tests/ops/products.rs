//! Products of matrices.

use tealight::prelude::*;

crate::expressions! {
    [a, b]:
        a.cosine_similarity(b, 0), a.cosine_similarity(b, -1), a.pairwise_distance(b, 2.0),
        a.pairwise_distance(b, 1.0), a.pairwise_distance(b, f64::INFINITY), a.matmul(b), a.dot(b), a.outer(b), a.matvec(b),
        Tensor::einsum("ij,jk->ik", &[a, b]), Tensor::einsum("bij,bjk->bik", &[a, b]),
        Tensor::einsum("i,j->ij", &[a, b]), Tensor::einsum("i,i->", &[a, b]),
        Tensor::einsum("ij,ij->j", &[a, b]), Tensor::einsum("ij,kj", &[a, b]),
        Tensor::einsum("bhid,bhjd->bhij", &[a, b]), Tensor::einsum("...i,...i->...", &[a, b]),
        Tensor::einsum("ij,j->i", &[a, b]), Tensor::einsum("ij,jk->ki", &[a, b]),
        Tensor::einsum("bij,j->bi", &[a, b]), Tensor::einsum("ii,ij->j", &[a, b]),
        Tensor::einsum("...ij,...jk->...ik", &[a, b]);
    [x]:
        Tensor::einsum("ij->ji", &[x]), Tensor::einsum("ii->", &[x]), Tensor::einsum("ii->i", &[x]),
        Tensor::einsum("ijk->k", &[x]), Tensor::einsum("ij->", &[x]), x.trace();
    [a, b, c]:
        Tensor::einsum("i,ij,j->", &[a, b, c]), Tensor::einsum("ij,jk,kl->il", &[a, b, c]),
        Tensor::einsum("i,j,k->kji", &[a, b, c]);
}
