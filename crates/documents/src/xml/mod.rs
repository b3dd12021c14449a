//! XML by XML's rules: a document, or a piece of one with any number of roots.
//!
//! Where elements stand side by side with nothing but white space between them, they are taken one by one; where there
//! is text beside them, they are its inline markup. CDATA sections, comments and processing instructions stay byte for
//! byte.

mod events;

pub use events::{Events, local, resolve};

use crate::error::{Error, Result};
use crate::events::Kind;
use crate::language::said_anew;
use crate::options::Options;
use crate::running::rules::{Inline, Role, Rules};
use crate::running::{Reader, Running};
use crate::tags::Tags;

/// Elements are items unless a caller names them.
struct XmlRules<'a>(&'a Tags);

impl Rules for XmlRules<'_> {
    fn role(&self, name: &str, _tag: &str) -> Role {
        self.0.role(name).unwrap_or(match name {
            "sub" => Role::Inline(Inline::Form),
            "sup" => Role::Inline(Inline::Raised),
            _ if !self.0.detects_outline => Role::Inline(Inline::Form),
            _ => Role::Inline(Inline::Item),
        })
    }

    fn detects_items(&self) -> bool {
        self.0.detects_outline
    }

    fn resolve(&self, reference: &str) -> Option<String> {
        resolve(reference)
    }
}

/// Reads XML.
///
/// # Errors
/// [`Error::Invalid`] with the place of what is wrong, [`Error::TooLarge`].
pub fn read(xml: &str, options: &Options) -> Result<Running> {
    read_by(xml, &XmlRules(&options.tags), resolve, options)
}

/// Reads XML by the rules of a format, with the entities that `resolve` knows.
///
/// # Errors
/// As [`read`].
pub fn read_by(
    xml: &str,
    rules: &dyn Rules,
    resolve: fn(&str) -> Option<String>,
    options: &Options,
) -> Result<Running> {
    let mut reader = Reader::new(xml, rules, &options.limits);
    let mut rooted = false;
    if xml.starts_with('\u{feff}') {
        reader.keep(0..'\u{feff}'.len_utf8());
    }
    for event in Events::knowing(xml, resolve) {
        let event = event.map_err(Error::Invalid)?;
        if !rooted
            && let Kind::Open(name) = &event.kind
            && let Some(tag) = said_anew(&xml[event.range.clone()], name, options)
        {
            reader.write_anew(event.range.clone(), tag);
        }
        // What comes behind text or another element is no root.
        rooted |= match &event.kind {
            Kind::Text => !xml[event.range.clone()].trim().is_empty(),
            Kind::Open(_) | Kind::Empty(_) | Kind::Close(_) => true,
            Kind::Other => false,
        };
        reader.take(event)?;
    }
    reader.end()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::{copied, markup, shouted, translated};

    fn document(xml: &str, tags: &Tags) -> Running {
        read(xml, &Options { tags: tags.clone(), ..Options::default() }).unwrap()
    }

    fn parts(xml: &str, tags: &Tags) -> Vec<String> {
        translated(document(xml, tags), &[]).0
    }

    fn named(names: &[&str]) -> HashSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn elements_side_by_side_keep_their_own_text() {
        let none = &Tags::default();
        let xml = "<seg>Open the file</seg><seg>Click the icon</seg>";
        assert_eq!(parts(xml, none), ["Open the file", "Click the icon"]);
        assert_eq!(shouted(document(xml, none)), "<seg>OPEN THE FILE</seg><seg>CLICK THE ICON</seg>");
        let xml = "<source>One</source>\n<link>two</link>\n<title>three</title><script>four &lt; 5</script>";
        assert_eq!(parts(xml, none), ["One", "two", "three", "four < 5"]);
        assert_eq!(parts("<p>Click <x id=\"5\"/>the <b>old</b> icon</p>", none), ["Click the old icon"]);
    }

    #[test]
    fn instructions_and_cdata_stay_byte_for_byte() {
        let none = &Tags::default();
        let xml = "<?php echo \"a > b\"; ?><p>open the file <![CDATA[<keep & it>]]> now</p><!-- keep -->";
        assert_eq!(copied(document(xml, none)), xml);
        let wanted = xml.replace("open the file", "OPEN THE FILE").replace("now", "NOW");
        assert_eq!(shouted(document(xml, none)), wanted);
    }

    #[test]
    fn tags_that_a_caller_names_are_what_it_says() {
        let xml = "<p>Click <keep>Foo bar</keep> now</p>";
        let tags = Tags { ignored: named(&["keep"]), ..Tags::default() };
        assert_eq!(shouted(document(xml, &tags)), "<p>CLICK <keep>Foo bar</keep> NOW</p>");
        let xml = "<p>One <x>two</x> three</p>";
        assert_eq!(parts(xml, &Tags { splitting: named(&["x"]), ..Tags::default() }), ["One", "two", "three"]);
        let xml = "<p><b>One</b> <i>two</i></p>";
        assert_eq!(parts(xml, &Tags::default()), ["One", "two"]);
        assert_eq!(parts(xml, &Tags { non_splitting: named(&["b", "i"]), ..Tags::default() }), ["One two"]);
        assert_eq!(parts(xml, &Tags { detects_outline: false, ..Tags::default() }), ["One two"]);
    }

    fn tree() -> impl Strategy<Value = String> {
        let more = &["&#160;", "<x/>", "<!-- c -->", "<![CDATA[a <b> c]]>", "<?pi a?>", "&unknown;", "AT&T ", "ü"];
        let name = prop::sample::select(vec!["b", "a", "script", "sub", "link", "ns:p"]);
        markup(more, name.prop_map(Some))
    }

    proptest! {
        #[test]
        fn a_document_stays_as_it_is_with_a_model_that_copies(xml in tree()) {
            prop_assert_eq!(copied(document(&xml, &Tags::default())), xml);
        }

        #[test]
        fn markup_and_space_stay_in_place_where_every_word_changes(xml in tree()) {
            let found = shouted(document(&xml, &Tags::default()));
            prop_assert_eq!(found.to_uppercase(), xml.to_uppercase());
        }

        #[test]
        fn any_text_is_taken(xml in "[<>/a!\\[\\]C?&;\"'= \u{fc}]{0,40}") {
            let _ = read(&xml, &Options::default());
        }
    }
}
