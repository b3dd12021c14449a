//! Sufficient statistics per segment, and what a metric is in terms of them.

use crate::{error::MetricError, signature::Signature};

/// The number types in which sacreBLEU turns summed statistics into a score. They differ in the last digits only, but a
/// p-value counts comparisons of such scores, so a test equals sacreBLEU's only in the same arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// Python's numbers: the score of a corpus or a segment.
    Exact,
    /// NumPy's int64 (trials of approximate randomization): fractions added to a count are cut off.
    Integer,
    /// NumPy 2's float32 (bootstrap resamples): every operation rounds to single precision.
    Single,
}

impl Arithmetic {
    /// The result of one operation on numbers of this kind. A sum, difference, product or quotient of two singles
    /// computed in double precision and rounded once is the correctly rounded single, as 53 >= 2 * 24 + 2.
    pub(crate) fn round(self, x: f64) -> f64 {
        match self {
            Arithmetic::Single => f64::from(x as f32),
            Arithmetic::Exact | Arithmetic::Integer => x,
        }
    }
}

/// A score and whether sacreBLEU holds it in single precision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Value {
    /// From 0 to 100.
    pub score: f64,
    /// True for a NumPy float32.
    pub single: bool,
}

/// A metric whose corpus score is a function of counts summed over segments.
pub trait Metric: Send + Sync {
    /// The name that scores are printed under, such as `BLEU` or `chrF2++`.
    fn name(&self) -> String;

    /// Number of counts per segment.
    fn width(&self) -> usize;

    /// The counts of one segment against one or more references: `[width]`.
    ///
    /// # Errors
    /// No reference, or a caller-supplied tokenizer that fails.
    fn segment(&self, hypothesis: &str, references: &[&str]) -> Result<Vec<u64>, MetricError>;

    /// The score for counts summed over segments (`totals: [width]`, whole numbers).
    fn value(&self, totals: &[f64], arithmetic: Arithmetic) -> Value;

    /// The signature of scores against this number of references per segment.
    fn signature(&self, references: usize) -> Signature;
}

/// A metric that reports more than one number: its score comes with the counts or options behind it.
pub trait Scorer: Metric {
    /// The score and what is printed beside it.
    type Score;

    /// The score for counts summed over segments: `[width]`.
    fn score_of_totals(&self, totals: &[u64]) -> Self::Score;

    /// The score of a corpus; `references[stream][segment]`.
    ///
    /// # Errors
    /// As [`Statistics::collect`].
    fn corpus<H: AsRef<str>, R: AsRef<str>>(
        &self,
        hypotheses: &[H],
        references: &[&[R]],
    ) -> Result<Self::Score, MetricError> {
        self.score(&Statistics::collect(self, hypotheses, references)?)
    }

    /// The score of one sentence against its references. For BLEU set `effective_order`, or short sentences score 0.
    ///
    /// # Errors
    /// As [`Metric::segment`].
    fn sentence<R: AsRef<str>>(&self, hypothesis: &str, references: &[R]) -> Result<Self::Score, MetricError> {
        let references: Vec<&str> = references.iter().map(AsRef::as_ref).collect();
        Ok(self.score_of_totals(&self.segment(hypothesis, &references)?))
    }

    /// The score of a corpus whose counts were collected before.
    ///
    /// # Errors
    /// [`MetricError::WrongStatistics`] when they were collected with another metric or order.
    fn score(&self, statistics: &Statistics) -> Result<Self::Score, MetricError> {
        statistics.check(self)?;
        Ok(self.score_of_totals(&statistics.totals()))
    }
}

/// The counts of every segment of one system under one metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    width: usize,
    /// `[segments, width]`, row by row.
    counts: Vec<u64>,
}

impl Statistics {
    /// Counts every segment once. `references` holds streams, as sacreBLEU's files: `references[stream][segment]`.
    ///
    /// # Errors
    /// No hypotheses or references, streams of differing length, or a caller-supplied tokenizer that fails.
    pub fn collect<M, H, R>(metric: &M, hypotheses: &[H], references: &[&[R]]) -> Result<Self, MetricError>
    where
        M: Metric + ?Sized,
        H: AsRef<str>,
        R: AsRef<str>,
    {
        if hypotheses.is_empty() {
            return Err(MetricError::NoSegments);
        }
        if references.is_empty() {
            return Err(MetricError::NoReferences);
        }
        for (stream, lines) in references.iter().enumerate() {
            if lines.len() != hypotheses.len() {
                return Err(MetricError::LengthsDiffer {
                    hypotheses: hypotheses.len(),
                    references: lines.len(),
                    stream: stream + 1,
                });
            }
        }
        let mut statistics = Self { width: metric.width(), counts: Vec::new() };
        let mut of_segment = Vec::with_capacity(references.len());
        for (segment, hypothesis) in hypotheses.iter().enumerate() {
            of_segment.clear();
            of_segment.extend(references.iter().map(|lines| lines[segment].as_ref()));
            statistics.counts.extend(metric.segment(hypothesis.as_ref(), &of_segment)?);
        }
        Ok(statistics)
    }

    /// Number of segments, at least 1.
    pub fn segments(&self) -> usize {
        self.counts.len() / self.width
    }

    /// Number of counts per segment.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The counts segment by segment, `[width]` each.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u64]> {
        self.counts.chunks_exact(self.width)
    }

    /// The counts summed over segments: `[width]`.
    pub fn totals(&self) -> Vec<u64> {
        let mut totals = vec![0; self.width];
        for row in self.rows() {
            for (total, count) in totals.iter_mut().zip(row) {
                *total += count;
            }
        }
        totals
    }

    /// The corpus score under the metric that the counts were collected with.
    ///
    /// # Errors
    /// [`MetricError::WrongStatistics`] when the metric needs another number of counts.
    pub fn score<M: Metric + ?Sized>(&self, metric: &M) -> Result<f64, MetricError> {
        self.check(metric)?;
        Ok(metric.value(&as_floats(&self.totals()), Arithmetic::Exact).score)
    }

    /// Checks that there are as many counts as the metric needs.
    pub(crate) fn check<M: Metric + ?Sized>(&self, metric: &M) -> Result<(), MetricError> {
        if self.width == metric.width() {
            return Ok(());
        }
        Err(MetricError::WrongStatistics { metric: metric.name(), expected: metric.width(), found: self.width })
    }
}

/// Counts as floats; exact below 2^53.
pub(crate) fn as_floats(counts: &[u64]) -> Vec<f64> {
    counts.iter().map(|&count| count as f64).collect()
}
