//! Tensors that come together on rank 0 a few at a time while it writes them to a file, so that it never has all of
//! them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;

use strata_model::experts_in_file;
use strata_ranks::{Error, Pending, Ranks};
use strata_store::{Dtype, Error as StoreError, TensorSource, TensorSpec};

use super::layout::{BUCKET, Layout, Piece};

/// Exchanges that are underway while rank 0 writes what has come.
const AHEAD: usize = 2;

/// A set of values that every weight has, such as Adam's first moments.
pub(super) struct Table<'a> {
    /// What stands in front of the weights' names in the file.
    pub prefix: &'static str,
    /// Finds values that this rank sends.
    pub append: Append<'a>,
}

/// Appends values of a piece, by its place, to the last argument; they are counted from the beginning of its share.
pub(super) type Append<'a> = Box<dyn Fn(usize, Range<usize>, &mut Vec<f32>) + 'a>;

/// A tensor of the file: values of a share of a weight.
struct Part {
    spec: TensorSpec,
    table: usize,
    weight: usize,
    share: usize,
    range: Range<usize>,
}

/// The tensors of a file, in its order. Rank 0 reads it as a [`TensorSource`], while the others
/// [send](Streamed::send).
pub(crate) struct Streamed<'a> {
    ranks: Ranks,
    layout: &'a Layout,
    tables: Vec<Table<'a>>,
    /// Whether a piece comes from its owner even where rank 0 holds it.
    of_owners: bool,
    parts: Vec<Part>,
    /// Parts that travel together.
    groups: Vec<Range<usize>>,
    /// The pieces of each weight by their places, in the order of shares and values.
    pieces: Vec<Vec<usize>>,
    progress: RefCell<Progress>,
}

#[derive(Default)]
struct Progress {
    begun: usize,
    underway: VecDeque<(Range<usize>, Pending)>,
    /// The parts that came last, on rank 0.
    here: Range<usize>,
    values: Vec<Vec<f32>>,
    failure: Option<Error>,
}

impl<'a> Streamed<'a> {
    /// The tensors of `tables` for weights that have `shapes` on this rank. Values that only a piece's owner has
    /// (`of_owners`) come from it; others from rank 0 itself where it holds them.
    pub(super) fn new(
        ranks: &Ranks,
        layout: &'a Layout,
        shapes: &[Vec<usize>],
        tables: Vec<Table<'a>>,
        of_owners: bool,
    ) -> Self {
        let mut parts = Vec::new();
        for (table, Table { prefix, .. }) in tables.iter().enumerate() {
            for (weight, shape) in shapes.iter().enumerate() {
                parts.extend(parts_of(layout, weight, shape).into_iter().map(|(name, shape, share, range)| Part {
                    spec: TensorSpec { name: format!("{prefix}{name}"), dtype: Dtype::F32, shape },
                    table,
                    weight,
                    share,
                    range,
                }));
            }
        }
        // The order of the file.
        parts.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        let mut pieces: Vec<Vec<usize>> = vec![Vec::new(); layout.weights.len()];
        layout.pieces.iter().enumerate().for_each(|(place, piece)| pieces[piece.weight].push(place));
        pieces.iter_mut().for_each(|places| {
            places.sort_by_key(|place| (layout.pieces[*place].share, layout.pieces[*place].range.start));
        });
        let groups = grouped(&parts);
        Self { ranks: ranks.clone(), layout, tables, of_owners, parts, groups, pieces, progress: RefCell::default() }
    }

    /// Sends this rank's values to rank 0, which writes them.
    ///
    /// # Errors
    /// Of the exchange.
    pub fn send(&self) -> Result<(), Error> {
        let mut progress = self.progress.borrow_mut();
        self.groups.iter().try_for_each(|_| self.advance(&mut progress))
    }

    /// Whether this is rank 0, which gets all tensors.
    pub fn is_first(&self) -> bool {
        self.ranks.is_first()
    }

    /// Why rank 0 could not get a tensor, if that was why it could not write.
    pub fn failure(&self) -> Option<Error> {
        self.progress.borrow_mut().failure.take()
    }

    /// Waits for the next group.
    fn advance(&self, progress: &mut Progress) -> Result<(), Error> {
        while progress.underway.len() < AHEAD && progress.begun < self.groups.len() {
            let group = self.groups[progress.begun].clone();
            progress.underway.push_back((group.clone(), self.begin(group)?));
            progress.begun += 1;
        }
        let Some((group, pending)) = progress.underway.pop_front() else { return Ok(()) };
        let came = pending.values()?;
        if self.ranks.is_first() {
            progress.values = self.sorted_out(group.clone(), &came);
            progress.here = group;
        }
        Ok(())
    }

    fn begin(&self, group: Range<usize>) -> Result<Pending, Error> {
        let (rank, size) = (self.ranks.rank(), self.ranks.size());
        let (mut data, mut counts) = (Vec::new(), vec![0; size]);
        for part in &self.parts[group] {
            for (place, range, from) in self.runs(part) {
                counts[from] += range.len();
                if from == rank {
                    (self.tables[part.table].append)(place, range, &mut data);
                }
            }
        }
        let sends: Vec<Range<usize>> = (0..size).map(|to| 0..if to == 0 { data.len() } else { 0 }).collect();
        let receives = if rank == 0 { counts } else { vec![0; size] };
        self.ranks.begin(data, &sends, &receives)
    }

    /// The values of each part of a group, from those that came by rank.
    fn sorted_out(&self, group: Range<usize>, came: &[f32]) -> Vec<Vec<f32>> {
        let mut counts = vec![0; self.ranks.size()];
        let parts = &self.parts[group];
        parts.iter().flat_map(|part| self.runs(part)).for_each(|(_, range, from)| counts[from] += range.len());
        let mut next: Vec<usize> = counts.iter().scan(0, |end, n| Some(std::mem::replace(end, *end + n))).collect();
        let values = |part: &Part| {
            let mut values = Vec::with_capacity(part.range.len());
            for (_, range, from) in self.runs(part) {
                values.extend_from_slice(&came[next[from]..next[from] + range.len()]);
                next[from] += range.len();
            }
            values
        };
        parts.iter().map(values).collect()
    }

    /// What a part is made of, in order: places of pieces, values of their share, and the ranks that send them.
    fn runs<'s>(&'s self, part: &'s Part) -> impl Iterator<Item = (usize, Range<usize>, usize)> + 's {
        self.pieces[part.weight].iter().filter_map(|place| {
            let piece: &Piece = &self.layout.pieces[*place];
            let range = part.range.start.max(piece.range.start)..part.range.end.min(piece.range.end);
            let from = if !self.of_owners && self.layout.holds(0, piece) { 0 } else { piece.owner };
            (piece.share == part.share && !range.is_empty()).then_some((*place, range, from))
        })
    }
}

impl TensorSource for Streamed<'_> {
    fn specs(&self) -> Vec<TensorSpec> {
        self.parts.iter().map(|part| part.spec.clone()).collect()
    }

    fn bytes(&self, index: usize) -> Result<Cow<'_, [u8]>, StoreError> {
        let mut progress = self.progress.borrow_mut();
        while progress.here.end <= index {
            if let Err(error) = self.advance(&mut progress) {
                let what = error.to_string();
                progress.failure = Some(error);
                return Err(StoreError::Invalid(what));
            }
        }
        let at = index - progress.here.start;
        Ok(Cow::Owned(bytemuck::cast_slice(&std::mem::take(&mut progress.values[at])).to_vec()))
    }
}

/// A tensor in a file: its name and shape, its share and values there.
type Found = (String, Vec<usize>, usize, Range<usize>);

/// The tensors of a weight that has `shape` on this rank: experts one by one, those of other ranks too.
fn parts_of(layout: &Layout, weight: usize, shape: &[usize]) -> Vec<Found> {
    let of = &layout.weights[weight];
    if !of.name.contains('*') {
        let values = 0..shape.iter().product();
        return vec![(of.name.clone(), shape.to_vec(), 0, values)];
    }
    let each: usize = shape[1..].iter().product();
    let (mut found, mut first) = (Vec::new(), 0);
    for (share, values) in of.shares.iter().enumerate() {
        let experts = values.checked_div(each).unwrap_or(0);
        let tensors = experts_in_file(&of.name, first, &[&[experts], &shape[1..]].concat()).into_iter().enumerate();
        found.extend(tensors.map(|(i, (name, shape))| (name, shape, share, i * each..(i + 1) * each)));
        first += experts;
    }
    found
}

/// The parts in groups of at most a bucket's values, or of one part.
fn grouped(parts: &[Part]) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let (mut start, mut values) = (0, 0);
    for (i, part) in parts.iter().enumerate() {
        if i > start && values + part.range.len() > BUCKET {
            groups.push(start..i);
            (start, values) = (i, 0);
        }
        values += part.range.len();
    }
    if start < parts.len() {
        groups.push(start..parts.len());
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::super::layout::Weight;
    use super::*;

    /// Experts of each rank of a group.
    fn share(rank: usize, group: usize) -> Range<usize> {
        5 * rank / group..5 * (rank + 1) / group
    }

    /// A layout with a weight that is larger than a bucket and five experts, and the weights' shapes, as `rank` has
    /// them.
    fn layout(rank: usize, ranks: usize, group: usize) -> (Layout, Vec<Vec<usize>>) {
        let mine = share(rank % group, group);
        let shapes = vec![vec![3, 400_000], vec![mine.len(), 50, 60], vec![mine.len(), 7], vec![9]];
        let names = ["table", &format!("experts.{}*.fc", mine.start), &format!("experts.{}*.bias", mine.start), "norm"];
        let sizes = |weight: usize| -> Vec<usize> {
            let each: usize = shapes[weight][1..].iter().product();
            (0..group).map(|rank| share(rank, group).len() * each).collect()
        };
        let weight = |(i, name): (usize, &&str)| {
            let shares = if name.contains('*') { sizes(i) } else { vec![shapes[i].iter().product()] };
            Weight { name: name.to_string(), stage: 4 - i, shares }
        };
        (Layout::new(names.iter().enumerate().map(weight).collect(), ranks, group), shapes)
    }

    /// The value number `i` of a tensor in the file.
    fn value(name: &str, i: usize) -> f32 {
        (name.bytes().map(usize::from).sum::<usize>() * 100 + i % 97) as f32
    }

    #[test]
    fn rank_0_gets_every_tensor_whole_and_by_its_name() {
        for (size, group) in [(1, 1), (2, 1), (3, 1), (2, 2), (4, 2), (4, 4), (6, 3)] {
            for of_owners in [true, false] {
                std::thread::scope(|scope| {
                    for ranks in Ranks::threads(size) {
                        scope.spawn(move || check(&ranks, group, of_owners));
                    }
                });
            }
        }
    }

    fn check(ranks: &Ranks, group: usize, of_owners: bool) {
        let (layout, shapes) = layout(ranks.rank(), ranks.size(), group);
        let table = |prefix: &'static str| -> Table<'_> {
            let layout = &layout;
            let append = move |place: usize, range: Range<usize>, data: &mut Vec<f32>| {
                let piece = &layout.pieces[place];
                assert!(piece.range.start <= range.start && range.end <= piece.range.end, "{range:?} of {piece:?}");
                // Without an owner only what rank 0 lacks is asked of others.
                assert!(piece.owner == ranks.rank() || (!of_owners && ranks.is_first()));
                for i in range {
                    let (first, [each, kind]) = match piece.weight {
                        1 => (share(piece.share, group).start, [3000, 0]),
                        2 => (share(piece.share, group).start, [7, 1]),
                        weight => (0, [usize::MAX, weight + 2]),
                    };
                    let name = ["experts.{}.fc", "experts.{}.bias", "table", "", "", "norm"][kind];
                    let name = format!("{prefix}{}", name.replace("{}", &(first + i / each).to_string()));
                    data.push(value(&name, i % each));
                }
            };
            Table { prefix, append: Box::new(append) }
        };
        let streamed = Streamed::new(ranks, &layout, &shapes, vec![table("second."), table("first.")], of_owners);
        if !ranks.is_first() {
            return streamed.send().unwrap();
        }
        let specs = streamed.specs();
        assert_eq!(specs.len(), 2 * (2 + 2 * 5));
        assert!(specs.is_sorted_by_key(|spec| spec.name.clone()));
        for (index, spec) in specs.iter().enumerate() {
            let bytes = streamed.bytes(index).unwrap();
            let found: &[f32] = bytemuck::cast_slice(&bytes);
            let count = spec.shape.iter().product::<usize>();
            assert!(found.iter().copied().eq((0..count).map(|i| value(&spec.name, i))), "{spec:?} of {ranks:?}");
        }
        assert!(streamed.failure().is_none());
    }

    #[test]
    fn a_rank_that_is_lost_is_why_there_is_no_tensor() {
        let mut ranks = Ranks::threads(2);
        drop(ranks.pop());
        let (layout, shapes) = layout(0, 2, 1);
        let table = Table { prefix: "", append: Box::new(|_, range, data| data.resize(data.len() + range.len(), 0.0)) };
        let streamed = Streamed::new(&ranks[0], &layout, &shapes, vec![table], true);
        assert!(streamed.bytes(0).is_err());
        assert!(matches!(streamed.failure(), Some(Error::Lost { rank: 1 })));
    }
}
