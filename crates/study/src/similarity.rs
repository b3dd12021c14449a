//! Which languages are routed alike: Jensen-Shannon divergence of their use of the experts, and average-linkage
//! clusters.

use serde::{Deserialize, Serialize};

/// Languages compared by routing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Similarity {
    /// The languages, those of one cluster side by side.
    pub languages: Vec<String>,
    /// `[languages][languages]`: Jensen-Shannon divergence in bits, 0 (alike) to 1, the mean over expert blocks that
    /// both use.
    pub divergence: Vec<Vec<f64>>,
    /// Clusters as they were joined, nearest first.
    pub merges: Vec<Merge>,
}

/// Two clusters becoming one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Merge {
    /// The languages of one.
    pub left: Vec<String>,
    /// The languages of the other.
    pub right: Vec<String>,
    /// The mean divergence between a language of the one and a language of the other.
    pub divergence: f64,
}

/// Jensen-Shannon divergence of two distributions, in bits.
pub fn jensen_shannon(a: &[f64], b: &[f64]) -> f64 {
    let against_mean = |p: f64, q: f64| if p > 0.0 { p * (2.0 * p / (p + q)).log2() } else { 0.0 };
    let sum: f64 = a.iter().zip(b).map(|(p, q)| against_mean(*p, *q) + against_mean(*q, *p)).sum();
    (sum / 2.0).max(0.0) // rounding can leave a tiny negative value
}

/// Compares languages; `uses[language][block]` is the share of each expert, or none where the language does not come
/// through the block.
pub fn compare(languages: &[String], uses: &[Vec<Option<Vec<f64>>>]) -> Similarity {
    let n = languages.len();
    let between = |i: usize, j: usize| {
        let both = uses[i].iter().zip(&uses[j]).filter_map(|(a, b)| Some(jensen_shannon(a.as_ref()?, b.as_ref()?)));
        let found: Vec<f64> = both.collect();
        // Languages that share no block, such as a source and a target, count as entirely different.
        if found.is_empty() { 1.0 } else { found.iter().sum::<f64>() / found.len() as f64 }
    };
    let distances: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| if i == j { 0.0 } else { between(i, j) }).collect()).collect();
    let mut clusters: Vec<Vec<usize>> = (0..n).map(|i| vec![i]).collect();
    let mut merges = Vec::new();
    let named = |cluster: &[usize]| cluster.iter().map(|i| languages[*i].clone()).collect::<Vec<_>>();
    while clusters.len() > 1 {
        let mean = |a: &[usize], b: &[usize]| {
            let sum: f64 = a.iter().flat_map(|i| b.iter().map(|j| distances[*i][*j])).sum();
            sum / (a.len() * b.len()) as f64
        };
        let mut nearest = (0, 1, f64::INFINITY);
        for i in 0..clusters.len() {
            for j in i + 1..clusters.len() {
                let distance = mean(&clusters[i], &clusters[j]);
                if distance < nearest.2 {
                    nearest = (i, j, distance);
                }
            }
        }
        let (i, j, divergence) = nearest;
        let right = clusters.remove(j);
        merges.push(Merge { left: named(&clusters[i]), right: named(&right), divergence });
        clusters[i].extend(right);
    }
    let order = clusters.pop().unwrap_or_default();
    Similarity {
        languages: named(&order),
        divergence: order.iter().map(|i| order.iter().map(|j| distances[*i][*j]).collect()).collect(),
        merges,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_is_zero_for_equals_and_one_for_strangers() {
        assert_eq!(jensen_shannon(&[0.5, 0.5, 0.0], &[0.5, 0.5, 0.0]), 0.0);
        assert!((jensen_shannon(&[0.5, 0.5, 0.0, 0.0], &[0.0, 0.0, 0.25, 0.75]) - 1.0).abs() < 1e-12);
        // 1/2 KL([1,0] | [3/4,1/4]) + 1/2 KL([1/2,1/2] | [3/4,1/4])
        let by_hand = 0.5 * (4.0f64 / 3.0).log2() + 0.5 * (0.5 * (2.0f64 / 3.0).log2() + 0.5);
        assert!((jensen_shannon(&[1.0, 0.0], &[0.5, 0.5]) - by_hand).abs() < 1e-12);
    }

    #[test]
    fn languages_that_use_the_same_experts_are_joined_first() {
        let names = ["ar", "de", "fa", "nl"].map(String::from);
        let of = |share: [f64; 2]| vec![Some(share.to_vec()), None];
        let uses = [of([0.9, 0.1]), of([0.1, 0.9]), of([0.8, 0.2]), of([0.1, 0.9])];
        let found = compare(&names, &uses);
        assert_eq!((&found.merges[0].left[..], &found.merges[0].right[..]), (&names[1..2], &names[3..]));
        assert_eq!(found.languages, ["ar", "fa", "de", "nl"]);
        let all = |of: fn(&Merge) -> f64| found.merges.iter().map(of).collect::<Vec<_>>();
        assert!(all(|m| m.divergence).is_sorted(), "{found:?}");
        // The mean of the four distances between the two clusters.
        let (a, b) = (jensen_shannon(&[0.9, 0.1], &[0.1, 0.9]), jensen_shannon(&[0.8, 0.2], &[0.1, 0.9]));
        assert!((found.merges[2].divergence - (a + b) / 2.0).abs() < 1e-12);
        assert_eq!(found.divergence[2][3], 0.0);
        assert_eq!(compare(&[], &[]), Similarity::default());
    }
}
