//! From the logits after one token to its candidates: the most probable continuations that the request allows.

use super::question::{Answer, Question};
use super::{Search, sampling};

/// Continuations of one token as (id, log-probability), best first; drawn ones in the order of the draws.
pub(crate) type Candidates = Vec<(u32, f32)>;

impl Search {
    /// What is to be known of the logits after pending token `i`, over the request's vocabulary. `ids` is a buffer.
    pub fn ask(&self, i: usize, ids: &mut Vec<u32>, question: &mut Question) {
        let (request, options) = (&self.request, &self.request.options);
        question.clear();
        if let Some(id) = self.known(i) {
            question.wanted.extend(self.column(id).map(|column| (id, column)));
            return;
        }
        let open = &self.open[i - self.forced()];
        // What a constraint needs next is a candidate, whatever the options forbid.
        let needed = self.constraints.continuations(&open.met);
        question.wanted.extend(needed.filter_map(|id| Some((id, self.column(id)?))));
        let mut forbid = |id: u32| question.forbidden.extend(self.column(id));
        request.suppressed.iter().for_each(|id| forbid(*id));
        let length = self.length + 1; // with the new token
        if length < options.min_length.min(self.longest) || !self.constraints.all_met(&open.met) {
            forbid(request.end);
        }
        if options.no_repeat_ngram > 0 {
            self.repeated(open.node, options.no_repeat_ngram, ids, &mut forbid);
        }
        question.forbidden.sort_unstable();
        question.all = options.sample;
        question.best = if options.sample { 0 } else { 2 * options.beam };
    }

    /// Puts the candidates of pending token `i` into `out`, given the answer to what [`Search::ask`] asked.
    pub fn candidates(
        &self,
        i: usize,
        question: &Question,
        answer: &Answer,
        buffers: &mut sampling::Buffers,
        out: &mut Candidates,
    ) {
        let (request, options) = (&self.request, &self.request.options);
        let id_of = |column: u32| request.vocabulary.as_deref().map_or(column, |ids| ids[column as usize]);
        let log_total = answer.log_total();
        let wanted = question.wanted.iter().zip(0..).filter_map(|((id, _), place)| {
            let (_, logit) = answer.wanted.iter().find(|(found, _)| *found == place)?;
            Some((*id, logit - log_total))
        });
        out.clear();
        if self.known(i).is_some() {
            out.extend(wanted);
            return;
        }
        if !log_total.is_finite() {
            out.push((request.end, f32::NAN)); // `choose` ends the search with it
            return;
        }
        if options.sample {
            let open = &self.open[i - self.forced()];
            let first = self.step == 0;
            // All translations start from one token, so the first step draws for all of them.
            for sample in if first { 0..options.width() as u32 } else { open.sample..open.sample + 1 } {
                let drawn = sampling::draw(&answer.logits, options, sample, self.step, buffers);
                out.extend(drawn.map(|column| (id_of(column), answer.logits[column as usize] - log_total)));
            }
            return;
        }
        let allowed = answer.best.iter().filter(|(_, logit)| *logit > f32::NEG_INFINITY);
        out.extend(allowed.map(|(column, logit)| (id_of(*column), logit - log_total)));
        for candidate in wanted {
            if !out.iter().any(|(id, _)| *id == candidate.0) {
                out.push(candidate);
            }
        }
    }

    /// The id that follows pending token `i`, if that is decided: in a forced prefix, and where only a score is asked
    /// for.
    fn known(&self, i: usize) -> Option<u32> {
        if i < self.forced() {
            return Some(self.nodes[self.pending[i + 1] as usize].id);
        }
        self.request.score_only.then_some(self.request.end)
    }

    /// The column of an id in the request's vocabulary, if it is there.
    fn column(&self, id: u32) -> Option<u32> {
        match self.request.vocabulary.as_deref() {
            None => Some(id),
            Some(ids) => ids.binary_search(&id).ok().map(|column| column as u32),
        }
    }

    /// Forbids the ids that would make the last `n` tokens occur a second time.
    fn repeated(&self, node: u32, n: usize, ids: &mut Vec<u32>, forbid: &mut impl FnMut(u32)) {
        ids.clear();
        ids.extend(self.backwards(node).map(|node| node.id));
        ids.reverse();
        if ids.len() + 1 < n {
            return;
        }
        let (context, before) = (&ids[ids.len() + 1 - n..], ids.windows(n));
        for ngram in before {
            if ngram[..n - 1] == *context {
                forbid(ngram[n - 1]);
            }
        }
    }
}
