//! Moving rows: tokens leave the batch for a stratum and come back, and embeddings are looked up.

use std::sync::Arc;

use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};

use crate::buffer::{Shared, filled};
use crate::flex::{Operand, Values, on_flex, record, tensor};
use crate::parallel::for_rows;

/// Row numbers, kept on the host, where routing decides them.
pub type Rows = Arc<[u32]>;

/// The rows of `x` `[n, d]` that `rows` names (`m` of them, repeats allowed) -> `[m, d]`.
///
/// # Panics
/// If a row number is not below `n`.
pub fn gather_rows(x: Tensor<2>, rows: Rows) -> Tensor<2> {
    let [n, d] = x.dims();
    assert!(rows.iter().all(|row| (*row as usize) < n), "gather_rows: a row number is not below {n}");
    if !on_flex(&x.device()) {
        let index = index(&rows, &x);
        return x.select(0, index);
    }
    let x = Operand::new(x);
    let out = gather(&x.values(), &rows, d);
    record([x], tensor(out, [rows.len(), d]), move |grad: Values, _| {
        let mut dx = vec![0.0; n * d];
        for (row, g) in rows.iter().zip(grad.chunks_exact(d)) {
            add_to(&mut dx[*row as usize * d..][..d], g);
        }
        [Some(tensor(dx, [n, d]))]
    })
}

/// `x` `[n, d]` with row `i` of `new` `[m, d]` put in place of row `rows[i]`; `rows` has no repeats.
///
/// # Panics
/// If `rows` and `new` differ in length or a row number is not below `n`.
pub fn replace_rows(x: Tensor<2>, rows: Rows, new: Tensor<2>) -> Tensor<2> {
    let [n, d] = x.dims();
    assert_eq!(rows.len(), new.dims()[0], "replace_rows: one row number for each new row");
    assert!(rows.iter().all(|row| (*row as usize) < n), "replace_rows: a row number is not below {n}");
    if !on_flex(&x.device()) {
        let mut keep = vec![1.0f32; n];
        rows.iter().for_each(|row| keep[*row as usize] = 0.0);
        let keep = Tensor::<2>::from_data(TensorData::new(keep, [n, 1]), &x.device());
        let index = index(&rows, &x);
        return (x * keep).select_assign(0, index, new, IndexingUpdateOp::Add);
    }
    let (x, new) = (Operand::new(x), Operand::new(new));
    let mut out = x.values().to_vec();
    for (row, values) in rows.iter().zip(new.values().chunks_exact(d)) {
        out[*row as usize * d..][..d].copy_from_slice(values);
    }
    record([x, new], tensor(out, [n, d]), move |grad: Values, [x, new]| {
        let dx = x.then(|| {
            let mut dx = grad.to_vec();
            rows.iter().for_each(|row| dx[*row as usize * d..][..d].fill(0.0));
            tensor(dx, [n, d])
        });
        [dx, new.then(|| tensor(gather(&grad, &rows, d), [rows.len(), d]))]
    })
}

/// `weight[ids] * scale + positions`: token embeddings `[n, d]` of `weight` `[vocabulary, d]`, with the rows of the
/// position table `[longest, d]` that `places` names added.
///
/// # Panics
/// If an id is not below the vocabulary's size, or a place not below the table's.
pub fn embed(weight: Tensor<2>, ids: Rows, scale: f32, table: &Tensor<2>, places: Rows) -> Tensor<2> {
    let ([vocabulary, d], [longest, _]) = (weight.dims(), table.dims());
    assert_eq!(ids.len(), places.len(), "embed: one place for each id");
    assert!(ids.iter().all(|id| (*id as usize) < vocabulary), "embed: an id is not below {vocabulary}");
    assert!(places.iter().all(|place| (*place as usize) < longest), "embed: a place is not below {longest}");
    if !on_flex(&weight.device()) {
        let positions = table.clone().select(0, index(&places, table));
        let index = index(&ids, &weight);
        return weight.select(0, index) * scale + positions;
    }
    let (weight, table) = (Operand::new(weight), Operand::new(table.clone()));
    let (ws, ts) = (weight.values(), table.values());
    let fill = |out: Shared| {
        let (ws, ts): (&[f32], &[f32]) = (&ws, &ts);
        for_rows(
            ids.len(),
            d,
            #[inline(always)]
            |_, first, count| {
                for i in first..first + count {
                    // SAFETY: each piece has rows of its own.
                    let out = unsafe { out.room(i * d, d) };
                    let (w, t) = (&ws[ids[i] as usize * d..][..d], &ts[places[i] as usize * d..][..d]);
                    for ((o, w), t) in out.iter_mut().zip(w).zip(t) {
                        o.write(w * scale + t);
                    }
                }
            },
        );
    };
    // SAFETY: every row is written.
    let out = unsafe { filled(ids.len() * d, fill) };
    let n = ids.len();
    record([weight], tensor(out, [n, d]), move |grad: Values, _| {
        let grad: &[f32] = &grad;
        let fill = |out: Shared| {
            for_rows(
                vocabulary,
                d,
                #[inline(always)]
                |_, first, count| {
                    // SAFETY: each piece has rows of its own.
                    let dw = unsafe { out.zeros(first * d, count * d) };
                    let here =
                        ids.iter().enumerate().filter(|(_, id)| (first..first + count).contains(&(**id as usize)));
                    for (i, id) in here {
                        let row = (*id as usize - first) * d;
                        for (w, g) in dw[row..row + d].iter_mut().zip(&grad[i * d..][..d]) {
                            *w += g * scale;
                        }
                    }
                },
            );
        };
        // SAFETY: every row is written.
        let dw = unsafe { filled(vocabulary * d, fill) };
        [Some(tensor(dw, [vocabulary, d]))]
    })
}

/// `rows` as an index tensor beside `like`.
pub(crate) fn index(rows: &[u32], like: &Tensor<2>) -> Tensor<1, Int> {
    let rows: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
    let n = rows.len();
    Tensor::from_data(TensorData::new(rows, [n]), &like.device())
}

/// The rows of a row-major matrix of `width` columns that `rows` names, one after another.
pub(crate) fn gather(values: &[f32], rows: &[u32], width: usize) -> Vec<f32> {
    let fill = |out: Shared| {
        for_rows(
            rows.len(),
            width,
            #[inline(always)]
            |_, first, count| {
                for i in first..first + count {
                    // SAFETY: each piece has rows of its own.
                    let out = unsafe { out.room(i * width, width) };
                    out.write_copy_of_slice(&values[rows[i] as usize * width..][..width]);
                }
            },
        );
    };
    // SAFETY: every row is written.
    unsafe { filled(rows.len() * width, fill) }
}

#[inline(always)]
pub(crate) fn add_to(target: &mut [f32], values: &[f32]) {
    for (t, v) in target.iter_mut().zip(values) {
        *t += v;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_same, random};

    #[test]
    fn gathered_rows_equal_burns_select() {
        for rows in [vec![], vec![2], vec![4, 0, 4, 1]] {
            let rows: Rows = rows.into();
            let x = || random([5, 7], 1);
            assert_same(
                || {
                    let x = x();
                    (gather_rows(x.clone(), rows.clone()), vec![x.into()])
                },
                || {
                    let x = x();
                    (x.clone().select(0, index(&rows, &x)), vec![x.into()])
                },
            );
        }
    }

    #[test]
    fn replaced_rows_take_the_new_values_and_their_gradient() {
        let rows: Rows = vec![3, 1].into();
        let inputs = || (random([5, 4], 1), random([2, 4], 2));
        assert_same(
            || {
                let (x, new) = inputs();
                (replace_rows(x.clone(), rows.clone(), new.clone()), vec![x.into(), new.into()])
            },
            || {
                let (x, new) = inputs();
                let row = |t: &Tensor<2>, i: usize| t.clone().narrow(0, i, 1);
                let y = Tensor::cat(vec![row(&x, 0), row(&new, 1), row(&x, 2), row(&new, 0), row(&x, 4)], 0);
                (y, vec![x.into(), new.into()])
            },
        );
    }

    #[test]
    fn embeddings_equal_their_composition() {
        let (ids, places): (Rows, Rows) = (vec![1, 5, 1, 0].into(), vec![0, 1, 2, 0].into());
        let table = random([3, 6], 9).detach();
        let weight = || random([6, 6], 1);
        assert_same(
            || {
                let w = weight();
                (embed(w.clone(), ids.clone(), 2.5, &table, places.clone()), vec![w.into()])
            },
            || {
                let w = weight();
                let positions = table.clone().select(0, index(&places, &table));
                (w.clone().select(0, index(&ids, &w)) * 2.5 + positions, vec![w.into()])
            },
        );
    }
}
