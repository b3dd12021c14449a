//! Messages about unknown keys and about values that a key does not take.

use toml::Value;

use crate::keys::{Key, SECTIONS, Values, keys};
use crate::suggest::nearest;

/// A value that is not among the `values` that `name` takes; none for a value that no key takes, e.g. a date.
pub(crate) fn wrong_value(name: &str, values: Values, value: Option<&Value>) -> String {
    match value {
        Some(value) => {
            let mut message = format!("{name} = {value} must be {values}");
            if let (Values::Choice(choices), Some(text)) = (values, value.as_str())
                && let Some(near) = nearest(text, choices.iter().copied())
            {
                message.push_str(&format!("; did you mean \"{near}\"?"));
            }
            message
        }
        None => format!("{name} must be {values}"),
    }
}

/// A section that does not exist.
pub(crate) fn unknown_section(section: &str) -> String {
    match nearest(section, SECTIONS.into_iter().chain(["variant"])) {
        Some(near) => format!("unknown section `{section}`; did you mean `{near}`?"),
        None => format!("unknown section `{section}` (sections: {}, variant)", SECTIONS.join(", ")),
    }
}

/// A key that does not exist. The same key in another section is suggested first, then the nearest of this section;
/// without a section, the nearest of any.
pub(crate) fn unknown_key(name: &str) -> String {
    let (section, leaf) = name.split_once('.').unwrap_or(("", name));
    let here: Vec<&Key> = keys().filter(|key| key.section() == section).collect();
    let named = |leaf: &str| keys().find(|key| key.leaf() == leaf).map(|key| key.name);
    let near = named(leaf)
        .or_else(|| {
            let near = nearest(leaf, here.iter().map(|key| key.leaf()))?;
            here.iter().find(|key| key.leaf() == near).map(|key| key.name)
        })
        .or_else(|| named(nearest(leaf, keys().map(Key::leaf).filter(|_| here.is_empty()))?));
    match near {
        Some(near) => format!("unknown key `{name}`; did you mean `{near}`?"),
        None if here.is_empty() => format!("unknown key `{name}` (sections: {}, variant)", SECTIONS.join(", ")),
        None => {
            let leaves: Vec<&str> = here.iter().map(|key| key.leaf()).collect();
            format!("unknown key `{name}` (keys of [{section}]: {})", leaves.join(", "))
        }
    }
}
