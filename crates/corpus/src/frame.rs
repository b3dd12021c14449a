//! What a model wants around the subwords of a sentence: language tags, the end mark, and what the decoder reads first.

use std::ops::Range;

use strata_recipe::{Mark, Prompts};

use crate::subword::{EOS, PAD};

/// The ids around the sentences of one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    front: Vec<u32>,
    end: Vec<u32>,
    prompt: Vec<u32>,
}

/// A language whose tag the model wants and that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingTag {
    /// The tag of the source language.
    Source,
    /// The tag of the target language.
    Target,
}

impl Frame {
    /// The frame of sentences between the languages of the tags `source` and `target`.
    ///
    /// # Errors
    /// The tag that `prompts` has and that is not given.
    pub fn new(prompts: &Prompts, source: Option<u32>, target: Option<u32>) -> Result<Self, MissingTag> {
        let id = |mark: &Mark| match mark {
            Mark::Target => target.ok_or(MissingTag::Target),
            Mark::Source => source.ok_or(MissingTag::Source),
            Mark::End => Ok(EOS),
            // In the place of a zero vector the model does not look at the id.
            Mark::Padding | Mark::Zero => Ok(PAD),
            Mark::Subword(id) => Ok(*id),
        };
        let ids = |marks: &[Mark]| marks.iter().map(id).collect::<Result<Vec<u32>, MissingTag>>();
        Ok(Self { front: ids(&prompts.source_front)?, end: ids(&prompts.source_end)?, prompt: ids(&prompts.decoder)? })
    }

    /// The encoder's input for a sentence's subwords.
    pub fn source(&self, ids: impl IntoIterator<Item = u32>) -> impl Iterator<Item = u32> {
        self.front.iter().copied().chain(ids).chain(self.end.iter().copied())
    }

    /// What the decoder reads first.
    pub fn prompt(&self) -> &[u32] {
        &self.prompt
    }
}

/// Where the sentence lies in an encoder's input of `length` tokens.
pub fn text_within(prompts: &Prompts, length: usize) -> Range<usize> {
    let start = prompts.source_front.len();
    start..length.saturating_sub(prompts.source_end.len()).max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_of_the_field_is_a_frame() {
        let framed = |frame: &Frame| frame.source([7, 8]).collect::<Vec<_>>();
        let usual = Frame::new(&Prompts::default(), None, Some(4)).unwrap();
        assert_eq!((framed(&usual), usual.prompt()), (vec![4, 7, 8, EOS], &[4][..]));
        let nllb = Prompts {
            source_front: vec![Mark::Source],
            source_end: vec![Mark::End],
            decoder: vec![Mark::End, Mark::Target],
        };
        let frame = Frame::new(&nllb, Some(3), Some(4)).unwrap();
        assert_eq!((framed(&frame), frame.prompt()), (vec![3, 7, 8, EOS], &[EOS, 4][..]));
        assert_eq!(Frame::new(&nllb, None, Some(4)), Err(MissingTag::Source));
        assert_eq!(Frame::new(&nllb, Some(3), None), Err(MissingTag::Target));
        let bilingual = Prompts { source_front: vec![], source_end: vec![Mark::End], decoder: vec![Mark::Zero] };
        let frame = Frame::new(&bilingual, None, None).unwrap();
        assert_eq!((framed(&frame), frame.prompt()), (vec![7, 8, EOS], &[PAD][..]));
        assert_eq!((text_within(&nllb, 4), text_within(&bilingual, 3)), (1..3, 0..2));
        let bare = Prompts { source_front: vec![], source_end: vec![], decoder: vec![Mark::Subword(9), Mark::Padding] };
        let frame = Frame::new(&bare, None, None).unwrap();
        assert_eq!((framed(&frame), frame.prompt()), (vec![7, 8], &[9, PAD][..]));
    }
}
