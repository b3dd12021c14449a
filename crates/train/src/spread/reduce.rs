//! The gradients of an update, each piece summed by its owner, while the backward pass goes on.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use strata_kernels::{SQUARES_TOGETHER, partial_squares};
use strata_model::Done;
use strata_ranks::{Error, Pending, Ranks};

use super::layout::{Layout, Piece};
use crate::optimizer::GradientSum;

/// Buckets that are underway before the oldest is waited for: the network may lag behind the backward pass by so much.
const UNDERWAY: usize = 16;

/// Sums of the gradients of this rank's pieces, by their places in the layout. A piece is missing while no batch has
/// been added.
#[derive(Default)]
pub(crate) struct SharedGradients {
    pub(super) sums: HashMap<usize, Vec<f32>>,
}

/// Gradients of all ranks on their way to the owners of their pieces. A bucket leaves as soon as its weights are whole,
/// and travels while the backward pass goes on. Clones are the same.
///
/// All ranks send a bucket in the same stage of their passes, those that hold nothing of it too. Otherwise one of them
/// could wait for a bucket of another rank that itself waits, in an earlier stage, for tokens of the first.
#[derive(Clone)]
pub(crate) struct Reduction(Arc<Mutex<State>>);

struct State {
    ranks: Ranks,
    layout: Arc<Layout>,
    /// What earlier batches have given.
    earlier: HashMap<String, Vec<f32>>,
    /// Gradients of this rank that are whole, by weight; none where they are zero.
    mine: Vec<Option<Vec<f32>>>,
    /// Stages that the backward pass is done with.
    stages: usize,
    /// Buckets that have left.
    begun: usize,
    underway: VecDeque<(Range<usize>, Pending)>,
    all: SharedGradients,
    /// What went wrong within the backward pass, which cannot return it.
    failure: Option<Error>,
}

impl Reduction {
    /// Adds the gradients that this rank has `earlier` and those of the next backward pass to `all`.
    pub fn begin(ranks: &Ranks, layout: &Arc<Layout>, earlier: GradientSum, all: SharedGradients) -> Self {
        Self(Arc::new(Mutex::new(State {
            ranks: ranks.counting("gradients"),
            layout: Arc::clone(layout),
            earlier: earlier.into_values(),
            mine: vec![None; layout.weights.len()],
            stages: 0,
            begun: 0,
            underway: VecDeque::new(),
            all,
            failure: None,
        })))
    }

    /// Takes what the backward pass is done with.
    pub fn done(&self) -> Arc<Done> {
        let reduction = self.clone();
        Arc::new(move |stage, gradients| {
            let there = gradients.into_iter().filter_map(|(name, values)| Some((name, values?)));
            reduction.lock().take(stage + 1, &mut there.collect());
        })
    }

    /// Takes the `rest` when the pass is over; gives the sums once they are complete.
    ///
    /// # Errors
    /// Of the exchange.
    pub fn end(&self, rest: GradientSum) -> Result<SharedGradients, Error> {
        let mut state = self.lock();
        let mut rest = rest.into_values();
        state.take(usize::MAX, &mut rest);
        assert!(rest.is_empty(), "a gradient has grown since it was whole: {:?}", rest.keys().next());
        if let Some(error) = state.failure.take() {
            return Err(error);
        }
        while let Some((pieces, pending)) = state.underway.pop_front() {
            let came = pending.values()?;
            state.add(pieces, &came);
        }
        Ok(std::mem::take(&mut state.all))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes the gradients of all stages before `until`, which are whole now, and sends their buckets.
    fn take(&mut self, until: usize, gradients: &mut HashMap<String, Vec<f32>>) {
        let newly = self.stages..until;
        for (weight, mine) in self.layout.weights.iter().zip(&mut self.mine) {
            if !newly.contains(&weight.stage) {
                continue;
            }
            *mine = match (self.earlier.remove(&weight.name), gradients.remove(&weight.name)) {
                (Some(mut sum), Some(values)) => {
                    sum.iter_mut().zip(&values).for_each(|(sum, value)| *sum += value);
                    Some(sum)
                }
                (one, other) => one.or(other),
            };
        }
        self.stages = until;
        if self.failure.is_none()
            && let Err(error) = self.advance()
        {
            self.failure = Some(error);
        }
    }

    /// Sends the next buckets as far as they are whole.
    fn advance(&mut self) -> Result<(), Error> {
        let (layout, stages) = (Arc::clone(&self.layout), self.stages);
        for bucket in layout.buckets[self.begun..].iter().take_while(|bucket| bucket.stage < stages) {
            if self.underway.len() == UNDERWAY
                && let Some((pieces, pending)) = self.underway.pop_front()
            {
                let came = pending.values()?;
                self.add(pieces, &came);
            }
            let pending = self.send(bucket.pieces.clone())?;
            self.underway.push_back((bucket.pieces.clone(), pending));
            self.begun += 1;
        }
        Ok(())
    }

    /// The places of those of a bucket's `pieces` that `owner` owns and `holder` holds.
    fn places(&self, pieces: Range<usize>, owner: usize, holder: usize) -> impl Iterator<Item = usize> + '_ {
        let of = move |place: &usize| self.layout.pieces[*place].owner == owner;
        pieces.filter(of).filter(move |place| self.layout.holds(holder, &self.layout.pieces[*place]))
    }

    fn send(&self, bucket: Range<usize>) -> Result<Pending, Error> {
        let (rank, size, pieces) = (self.ranks.rank(), self.ranks.size(), &self.layout.pieces);
        let mut data = Vec::new();
        let mut sends = Vec::with_capacity(size);
        for to in 0..size {
            let start = data.len();
            for Piece { weight, range, .. } in self.places(bucket.clone(), to, rank).map(|place| &pieces[place]) {
                match &self.mine[*weight] {
                    Some(values) => data.extend_from_slice(&values[range.clone()]),
                    None => data.resize(data.len() + range.len(), 0.0),
                }
            }
            sends.push(start..data.len());
        }
        let values = |from| self.places(bucket.clone(), rank, from).map(|place| pieces[place].range.len()).sum();
        self.ranks.begin(data, &sends, &(0..size).map(values).collect::<Vec<usize>>())
    }

    /// Adds what came of a bucket's `pieces`, in the order of the ranks.
    fn add(&mut self, pieces: Range<usize>, came: &[f32]) {
        let (rank, size) = (self.ranks.rank(), self.ranks.size());
        let places: Vec<usize> = (0..size).flat_map(|from| self.places(pieces.clone(), rank, from)).collect();
        let mut rest = came;
        for place in places {
            let (values, others) = rest.split_at(self.layout.pieces[place].range.len());
            rest = others;
            match self.all.sums.get_mut(&place) {
                Some(sum) => sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value),
                None => drop(self.all.sums.insert(place, values.to_vec())),
            }
        }
    }
}

impl SharedGradients {
    /// The Euclidean norm of all ranks' sums together, bit for bit that of [`GradientSum::norm`] on the CPU as long as
    /// experts are not spread.
    ///
    /// # Errors
    /// Of the exchange.
    pub fn norm(&self, ranks: &Ranks, layout: &Layout) -> Result<f64, Error> {
        let size = ranks.size();
        let squares = |place: usize| match self.sums.get(&place) {
            Some(values) => partial_squares(values),
            None => vec![0.0; layout.pieces[place].range.len().div_ceil(SQUARES_TOGETHER)],
        };
        let mine: Vec<f32> = layout.of(ranks.rank()).flat_map(squares).collect();
        let count = |place: usize| layout.pieces[place].range.len().div_ceil(SQUARES_TOGETHER);
        let counts: Vec<usize> = (0..size).map(|rank| layout.of(rank).map(count).sum()).collect();
        let sends = vec![0..mine.len(); size];
        let all = ranks.begin(mine, &sends, &counts)?.values()?;
        let mut next: Vec<usize> = counts.iter().scan(0, |end, n| Some(std::mem::replace(end, *end + n))).collect();
        let mut squares: Vec<(&Piece, &[f32])> = Vec::with_capacity(layout.pieces.len());
        for (place, piece) in layout.pieces.iter().enumerate() {
            let from = next[piece.owner];
            next[piece.owner] += count(place);
            squares.push((piece, &all[from..next[piece.owner]]));
        }
        squares.sort_by_key(|(piece, _)| (piece.weight, piece.share, piece.range.start));
        let mut by_weight: Vec<f64> = vec![0.0; layout.weights.len()];
        for (piece, squares) in squares {
            squares.iter().for_each(|v| by_weight[piece.weight] += f64::from(*v));
        }
        let mut names: Vec<usize> = (0..by_weight.len()).collect();
        names.sort_unstable_by_key(|w| &layout.weights[*w].name);
        Ok(names.into_iter().map(|w| by_weight[w]).sum::<f64>().sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::{BUCKET, Weight};
    use super::*;

    fn weight((name, stage, shares): (&str, usize, &[usize])) -> Weight {
        Weight { name: name.to_string(), stage, shares: shares.to_vec() }
    }

    fn begin(ranks: &Ranks, layout: &Arc<Layout>) -> Reduction {
        Reduction::begin(ranks, layout, GradientSum::default(), SharedGradients::default())
    }

    #[test]
    fn buckets_leave_as_soon_as_their_weights_are_whole_and_what_is_missing_is_zero() {
        let weights = [("embedding", 1, [BUCKET].as_slice()), ("layer", 0, &[BUCKET])].map(weight).to_vec();
        let layout = Arc::new(Layout::new(weights, 2, 1));
        std::thread::scope(|scope| {
            for ranks in Ranks::threads(2) {
                let layout = &layout;
                scope.spawn(move || {
                    let reduction = begin(&ranks, layout);
                    let values = vec![1.0 + ranks.rank() as f32; BUCKET];
                    reduction.done()(0, vec![("layer".to_string(), Some(values))]);
                    assert_eq!(reduction.lock().begun, 1, "the embedding's gradient is still to come");
                    let mine = reduction.end(GradientSum::default()).unwrap();
                    for place in layout.of(ranks.rank()) {
                        let layer = layout.weights[layout.pieces[place].weight].name == "layer";
                        let expected = if layer { 3.0 } else { 0.0 };
                        assert!(mine.sums[&place].iter().all(|value| *value == expected));
                    }
                    assert_eq!(mine.sums.len(), layout.of(ranks.rank()).count());
                });
            }
        });
    }

    /// Rank 0 has next to nothing of the experts, and still sends their buckets when rank 1 does.
    #[test]
    fn ranks_send_a_bucket_in_the_same_stage_though_one_holds_nothing_of_it() {
        let weights = [("experts.0*", 1, [1, 3 * BUCKET].as_slice()), ("layer", 0, &[BUCKET]), ("embedding", 2, &[9])];
        let layout = Arc::new(Layout::new(weights.map(weight).to_vec(), 2, 2));
        assert!(layout.buckets.len() > 3);
        for ranks in Ranks::threads(2) {
            let reduction = begin(&ranks, &layout);
            let mut begun = 0;
            for stage in 0..2 {
                reduction.done()(stage, Vec::new());
                assert!(reduction.lock().begun > begun);
                begun = layout.buckets.iter().filter(|bucket| bucket.stage <= stage).count();
                assert_eq!(reduction.lock().begun, begun, "stage {stage} of {ranks:?}");
            }
        }
    }
}
