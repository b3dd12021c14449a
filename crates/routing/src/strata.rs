//! How the experts of a block are split into strata, what each gate sees, where a token goes next, and where norms
//! stand.

use std::ops::Range;

use crate::exits::Exits;

/// Where a block of several strata normalizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norms {
    /// As the paper writes it: a norm in front of each stratum, residuals not normalized; `L` norms.
    OnArrival,
    /// As the authors' released code computes it: a norm in front of the first stratum and one on the way to each later
    /// stratum and to the exit, whose result is also the next residual; `L + 1` norms.
    OnLeaving,
}

/// The experts that the gate of a stratum chooses among.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visible {
    /// Those of its own stratum and of all later ones (R2).
    Later,
    /// All: one pool. A token whose first choice lies in an earlier stratum moves on to the next one.
    All,
}

/// How tokens pass the gates of a block.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Path {
    /// From stratum to a later stratum.
    Stratified { norms: Norms, visible: Visible, exits: Exits },
    /// Through every layer of a stack, with one norm in front of the first.
    Stacked,
}

/// The layout of one expert block: experts by stratum, in order.
///
/// Built without checks: it holds for any sizes, and a huge number of experts takes no memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Strata {
    /// Stratum `i` owns the experts `starts[i]..starts[i + 1]`; one entry more than there are strata.
    starts: Vec<usize>,
    path: Path,
}

impl Strata {
    /// An SMoE block with strata of `sizes` experts.
    pub fn stratified(sizes: &[usize], norms: Norms) -> Self {
        Self::new(sizes, Path::Stratified { norms, visible: Visible::Later, exits: Exits::FirstChoice })
    }

    /// The same block with gates that see these experts; no change to a stack.
    pub fn with_visible(mut self, wanted: Visible) -> Self {
        if let Path::Stratified { visible, .. } = &mut self.path {
            *visible = wanted;
        }
        self
    }

    /// The same block with another rule for where tokens go; no change to a stack.
    pub fn with_exits(mut self, wanted: Exits) -> Self {
        if let Path::Stratified { exits, .. } = &mut self.path {
            *exits = wanted;
        }
        self
    }

    /// MoE layers of `sizes` experts one after another, without a norm or a residual between them.
    pub fn stacked(sizes: &[usize]) -> Self {
        Self::new(sizes, Path::Stacked)
    }

    /// A vanilla MoE block: one gate over all experts.
    pub fn single(experts: usize) -> Self {
        Self::stratified(&[experts], Norms::OnArrival)
    }

    /// No experts: a dense model.
    pub fn none() -> Self {
        Self::stratified(&[], Norms::OnArrival)
    }

    fn new(sizes: &[usize], path: Path) -> Self {
        let mut starts = Vec::with_capacity(sizes.len() + 1);
        starts.push(0usize);
        starts.extend(sizes.iter().scan(0usize, |end, size| {
            *end = end.saturating_add(*size);
            Some(*end)
        }));
        Self { starts, path }
    }

    /// `L`: strata of the block, and so its gates.
    #[inline]
    pub fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// `E`: experts of the block.
    #[inline]
    pub fn experts(&self) -> usize {
        self.starts[self.count()]
    }

    /// The experts that belong to a stratum; none for a stratum that does not exist.
    #[inline]
    pub fn owned(&self, stratum: usize) -> Range<usize> {
        if stratum < self.count() { self.starts[stratum]..self.starts[stratum + 1] } else { 0..0 }
    }

    /// `E_1 .. E_L`: experts of each stratum.
    pub fn sizes(&self) -> Vec<usize> {
        self.starts.windows(2).map(|bounds| bounds[1] - bounds[0]).collect()
    }

    /// R2: the experts that a gate chooses among, those of its stratum and of all later ones, or all ([`Visible`]); in
    /// a stack those of its own layer. None for a gate that does not exist.
    #[inline]
    pub fn visible(&self, gate: usize) -> Range<usize> {
        let owned = self.owned(gate);
        match self.path {
            Path::Stratified { visible: Visible::Later, .. } if !owned.is_empty() => owned.start..self.experts(),
            Path::Stratified { visible: Visible::All, .. } if !owned.is_empty() => 0..self.experts(),
            _ => owned,
        }
    }

    /// The stratum that an expert belongs to.
    #[inline]
    pub fn stratum_of(&self, expert: usize) -> usize {
        self.starts[1..].partition_point(|end| *end <= expert)
    }

    /// R7: where a token goes from stratum `from` when its first choice is `expert`: to the stratum behind the
    /// expert's, never back; [`Strata::count`] is the exit. It counts whether or not the expert had room for the token.
    /// Other rules are in [`Exits`]; `chance` is a number in `0..1`, asked for where exits are random.
    #[inline]
    pub fn next(&self, from: usize, expert: usize, chance: impl FnOnce() -> f32) -> usize {
        match self.path {
            Path::Stratified { exits: Exits::FirstChoice, .. } => self.stratum_of(expert).max(from) + 1,
            Path::Stratified { exits: Exits::Random { go_on }, .. } if f64::from(chance()) >= go_on => self.count(),
            _ => from + 1,
        }
    }

    /// Layer norms of the block, the pre-norm of its Transformer layer included.
    pub fn norms(&self) -> usize {
        match (self.path, self.count()) {
            (Path::Stratified { norms: Norms::OnLeaving, .. }, strata) => strata + 1,
            (Path::Stratified { .. }, strata) => strata.max(1),
            (Path::Stacked, _) => 1,
        }
    }

    /// R1: the norm that is applied to tokens on arrival at a stratum, which leaves the residual as it is. None where
    /// they come normalized, or in a stack, as they are.
    pub fn norm_on_arrival(&self, stratum: usize) -> Option<usize> {
        match self.path {
            _ if stratum == 0 => Some(0),
            Path::Stratified { norms: Norms::OnArrival, .. } => Some(stratum),
            Path::Stratified { norms: Norms::OnLeaving, .. } | Path::Stacked => None,
        }
    }

    /// The norm that is applied to tokens on their way to stratum `next` or to the exit ([`Strata::count`]); its result
    /// is their next residual. None where norms stand on arrival.
    #[inline]
    pub fn norm_on_leaving(&self, next: usize) -> Option<usize> {
        match self.path {
            Path::Stratified { norms: Norms::OnLeaving, .. } => Some(next),
            _ => None,
        }
    }

    /// The probability that a token visits each stratum when every gate chooses each expert that it sees equally often:
    /// `P_1 = 1`, `P_{j+1} = sum over i <= j of P_i * E_j / V_i` where first choices decide. In a stack every layer is
    /// visited.
    pub fn uniform_visits(&self) -> Vec<f64> {
        let strata = self.count();
        let mut visited = vec![0.0; strata + 1];
        visited[0] = 1.0;
        for from in 0..strata {
            let of = |to: usize| match self.path {
                Path::Stratified { exits: Exits::FirstChoice, visible, .. } => {
                    // Where every gate sees all, choices of earlier strata lead on to the next one too.
                    let first = if visible == Visible::All && to == from + 1 { 0 } else { self.starts[to - 1] };
                    (self.starts[to] - first) as f64 / self.visible(from).len() as f64
                }
                Path::Stratified { exits: Exits::Random { go_on }, .. } if to == from + 1 => go_on,
                _ if to == from + 1 => 1.0,
                _ => 0.0,
            };
            for to in from + 1..strata {
                visited[to] += visited[from] * of(to);
            }
        }
        visited.truncate(strata);
        visited
    }

    /// The mean requested capacity under uniform routing, the sum of [`Strata::uniform_visits`]. It solves
    /// `RC_i = 1 + sum over j >= i of (E_j / V_i) * RC_{j+1}` with `RC_{L+1} = 0`.
    pub fn uniform_requested_capacity(&self) -> f64 {
        self.uniform_visits().iter().fold(0.0, |sum, visits| sum + visits) // of no strata 0, where `sum` gives -0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smoe(sizes: &[usize]) -> Strata {
        Strata::stratified(sizes, Norms::OnArrival)
    }

    #[test]
    fn a_gate_sees_its_own_and_later_strata() {
        let strata = smoe(&[8, 4, 2]);
        assert_eq!([0, 1, 2, 3].map(|gate| strata.visible(gate)), [0..14, 8..14, 12..14, 0..0]);
        assert_eq!([0, 1, 2].map(|stratum| strata.owned(stratum)), [0..8, 8..12, 12..14]);
        assert_eq!((strata.count(), strata.experts(), strata.sizes()), (3, 14, vec![8, 4, 2]));
        let stack = Strata::stacked(&[4, 4]);
        assert_eq!([0, 1, 2].map(|gate| stack.visible(gate)), [0..4, 4..8, 0..0]);
        assert_eq!(Strata::single(8).visible(0), 0..8);
        assert_eq!((Strata::none().count(), Strata::none().experts()), (0, 0));
        assert!(Strata::none().uniform_requested_capacity().is_sign_positive());
    }

    #[test]
    fn the_first_choice_says_where_a_token_goes() {
        let strata = smoe(&[2, 1, 3]);
        let next = |strata: &Strata, from| (0..6).map(|e| strata.next(from, e, || 0.5)).collect::<Vec<usize>>();
        assert_eq!(next(&strata, 0), [1, 1, 2, 3, 3, 3]);
        assert_eq!(Strata::single(4).next(0, 3, || 0.0), 1);
        // One pool: choices of earlier strata lead on, never back.
        let pool = strata.clone().with_visible(Visible::All);
        assert_eq!([0, 1, 2].map(|gate| pool.visible(gate)), [0..6, 0..6, 0..6]);
        assert_eq!((next(&pool, 0), next(&pool, 1)), (vec![1, 1, 2, 3, 3, 3], vec![2, 2, 2, 3, 3, 3]));
        assert_eq!(next(&strata.clone().with_exits(Exits::Never), 1), [2; 6]);
        let random = strata.with_exits(Exits::Random { go_on: 0.6 });
        assert_eq!((next(&random, 1), random.next(1, 0, || 0.6)), (vec![2; 6], 3));
        let stack = Strata::stacked(&[2, 2]).with_visible(Visible::All).with_exits(Exits::Random { go_on: 0.0 });
        assert_eq!(stack, Strata::stacked(&[2, 2]));
    }

    /// Every norm has its place: walks a token through all strata and notes the norms that it meets.
    #[test]
    fn norms_stand_in_front_of_strata_or_on_the_way_out() {
        let met = |strata: &Strata| {
            let places = (0..strata.count()).flat_map(|s| [strata.norm_on_arrival(s), strata.norm_on_leaving(s + 1)]);
            places.flatten().collect::<Vec<usize>>()
        };
        for (strata, norms) in [
            (smoe(&[2, 2, 2]), 3),
            (Strata::stratified(&[2, 2, 2], Norms::OnLeaving), 4),
            (Strata::stratified(&[8], Norms::OnLeaving), 2),
            (Strata::single(8), 1),
            (Strata::stacked(&[4, 4]), 1),
        ] {
            assert_eq!(strata.norms(), norms, "{strata:?}");
            assert_eq!(met(&strata), (0..norms).collect::<Vec<_>>(), "{strata:?}");
        }
        let leaving = Strata::stratified(&[2, 2], Norms::OnLeaving);
        assert_eq!([0, 1].map(|stratum| leaving.norm_on_arrival(stratum)), [Some(0), None]);
        assert_eq!([1, 2].map(|next| leaving.norm_on_leaving(next)), [Some(1), Some(2)]);
        assert_eq!(smoe(&[2, 2]).norm_on_leaving(1), None);
    }

    #[test]
    fn uniform_routing_asks_for_what_the_recursion_says() {
        assert_eq!(smoe(&[4, 12]).uniform_visits(), [1.0, 0.25]);
        // RC_4 = 1, RC_3 = 1 + 1/2, RC_2 = 1 + (3/2 + 1) / 3, RC_1 = 1 + (11/6 + 3/2 + 1) / 4 = 25/12
        assert!((smoe(&[4, 4, 4, 4]).uniform_requested_capacity() - 25.0 / 12.0).abs() < 1e-12);
        assert_eq!(Strata::single(16).uniform_requested_capacity(), 1.0);
        assert_eq!(Strata::stacked(&[4, 4]).uniform_requested_capacity(), 2.0);
        assert_eq!(Strata::none().uniform_requested_capacity(), 0.0);
        let pool = smoe(&[4, 4]).with_visible(Visible::All);
        assert_eq!(pool.uniform_visits(), [1.0, 0.5]);
        // From the second of three strata two thirds of the choices lead on: 1 + 1/3 + 1/3 + 1/3 * 2/3.
        let visits = smoe(&[2, 2, 2]).with_visible(Visible::All).uniform_visits();
        assert!((visits[2] - (1.0 / 3.0 + 2.0 / 9.0)).abs() < 1e-12, "{visits:?}");
        assert_eq!(smoe(&[2, 2, 2]).with_exits(Exits::Never).uniform_visits(), [1.0; 3]);
        assert_eq!(smoe(&[2, 2, 2]).with_exits(Exits::Random { go_on: 0.5 }).uniform_visits(), [1.0, 0.5, 0.25]);
    }

    #[test]
    fn sizes_that_no_model_can_have_do_no_harm() {
        let strata = smoe(&[usize::MAX, 3]);
        assert_eq!(strata.experts(), usize::MAX);
        assert_eq!(smoe(&[0, 2]).stratum_of(0), 1);
        assert_eq!(smoe(&[]).norms(), 1);
    }
}
