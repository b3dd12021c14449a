//! What a format's elements are to running text.

use crate::document::Escape;
use crate::events::Event;

/// What an element is to the text around and inside of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Ends running text; so does its end.
    Block,
    /// Ends running text, and its content is copied.
    KeptBlock,
    /// Markup of words: bold, a link. See [`Inline`].
    Inline(Inline),
    /// Part of running text, with content that is copied: code.
    Kept,
    /// A field between words, such as a form's input: the text on its sides does not belong together.
    Field,
    /// A place in a word where it may be broken.
    InWord,
    /// Stands for white space.
    Space,
    /// A place in running text that holds a text of its own, or a picture: a note, a frame. Its content is read apart.
    Inset,
    /// The same with content that is copied: somebody's comment.
    KeptInset,
}

/// How the text in an element belongs to the text beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inline {
    /// An item of a list, such as a link in a menu or a button, where nothing else stands beside it.
    Item,
    /// Form alone, also of parts of words: bold.
    Form,
    /// Raised signs: notes, exponents. What has no letters stays behind the word in front.
    Raised,
    /// A Markdown link whose text names its definition (`[text]`, `[text][]`): where its text changes, the name is
    /// written behind it.
    Named,
    /// An item or form.
    Any,
}

/// The rules of a format.
pub trait Rules: Send + Sync {
    /// What an element is. `tag` is its start tag or end tag as it is written; attributes are in the start tag alone.
    fn role(&self, name: &str, tag: &str) -> Role;

    /// Whether elements that stand side by side without text between them are taken one by one.
    fn detects_items(&self) -> bool {
        true
    }

    /// What a reference (`&name;`, `\\*`) stands for; none if it stays as it is.
    fn resolve(&self, reference: &str) -> Option<String>;

    /// Whether markup may stand around nothing.
    fn may_be_empty(&self) -> bool {
        true
    }

    /// How text is written.
    fn escape(&self) -> Escape {
        crate::markup::escape
    }
}

/// A tag's element's role; none for what is no tag.
pub fn role_of(rules: &dyn Rules, source: &str, event: &Event) -> Option<Role> {
    use crate::events::Kind;
    match &event.kind {
        Kind::Open(name) | Kind::Empty(name) | Kind::Close(name) => {
            Some(rules.role(name, &source[event.range.clone()]))
        }
        Kind::Text | Kind::Other => None,
    }
}
