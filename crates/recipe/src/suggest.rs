//! "Did you mean": the nearest of the known names.

/// The name nearest to `wrong` by edit distance, if any is near: at most a third of its letters, or two, may differ.
/// Upper and lower case and `_` and `-` count as equal.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace('_', "-");
    let wrong = plain(wrong);
    known
        .into_iter()
        .map(|name| (strsim::osa_distance(&wrong, &plain(name)), name))
        .filter(|(distance, name)| *distance <= 2.max(name.chars().count() / 3) && *distance < name.chars().count())
        // The first of equals, so that the order of `known` is a preference.
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = ["dense", "smoe-4-4", "smoe-4-12", "de"];
        assert_eq!(nearest("smoe_4_4", known), Some("smoe-4-4"));
        assert_eq!(nearest("SMoE-4-12", known), Some("smoe-4-12"));
        assert_eq!(nearest("dnese", known), Some("dense"));
        assert_eq!(nearest("dee", known), Some("de"));
        assert_eq!(nearest("transformer", known), None);
        assert_eq!(nearest("zz", known), None);
    }
}
