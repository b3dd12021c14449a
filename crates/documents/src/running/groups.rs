//! Running text cut where elements stand side by side that have nothing to do with each other: the links of a menu,
//! labels and buttons, the fields of a record.

use std::ops::Range;

use crate::events::{Event, Kind, is_kept};
use crate::running::rules::{Inline, Role, Rules, role_of};

/// Elements inside of each other that are looked into.
const DEPTH: usize = 40;

/// The events of running text with their partners and what they say.
pub struct Nodes<'a> {
    source: &'a str,
    rules: &'a dyn Rules,
    events: &'a [Event<'a>],
    /// The place of each start tag's end tag; of anything else its own.
    ends: Vec<usize>,
    roles: Vec<Option<Role>>,
}

/// What stands side by side: a piece of text, a tag by itself, or an element with its content.
struct Node {
    /// Its events.
    events: Range<usize>,
    /// None for text.
    role: Option<Role>,
    /// Its first and its last character, without what is copied; none where it has nothing but space.
    edges: Option<(char, char)>,
    /// Whether it has a letter or a digit.
    words: bool,
}

impl<'a> Nodes<'a> {
    /// Finds each tag's partner.
    pub fn new(source: &'a str, rules: &'a dyn Rules, events: &'a [Event<'a>]) -> Self {
        let mut ends: Vec<usize> = (0..events.len()).collect();
        let mut open: Vec<(usize, &str)> = Vec::new();
        for (i, event) in events.iter().enumerate() {
            match &event.kind {
                Kind::Open(name) => open.push((i, name)),
                Kind::Close(name) => {
                    if let Some(place) = open.iter().rposition(|(_, other)| other == name) {
                        ends[open[place].0] = i;
                        open.truncate(place);
                    }
                }
                Kind::Empty(_) | Kind::Text | Kind::Other => {}
            }
        }
        let roles = events.iter().map(|event| role_of(rules, source, event)).collect();
        Self { source, rules, events, ends, roles }
    }

    /// The events of each segment, in order; what is between them has no words, or is a tag around a segment.
    pub fn groups(&self) -> Vec<Range<usize>> {
        let mut groups = Vec::new();
        self.level(0..self.events.len(), 0, &mut groups);
        groups
    }

    fn level(&self, events: Range<usize>, depth: usize, groups: &mut Vec<Range<usize>>) {
        let nodes = self.nodes(events);
        let cuts = self.cuts(&nodes);
        let mut start = 0;
        for end in 1..=nodes.len() {
            if end == nodes.len() || cuts[end] {
                self.group(&nodes[start..end], depth, groups);
                start = end;
            }
        }
    }

    /// Adds what stands together.
    fn group(&self, nodes: &[Node], depth: usize, groups: &mut Vec<Range<usize>>) {
        // Tags, comments and space at the ends need no place in the translation.
        let says = |node: &Node| node.edges.is_some() || node.role == Some(Role::Kept);
        let (Some(first), Some(last)) = (nodes.iter().position(says), nodes.iter().rposition(says)) else { return };
        let nodes = &nodes[first..=last];
        let events = nodes[0].events.start..nodes[nodes.len() - 1].events.end;
        if !self.has_letters(events.clone()) {
            return;
        }
        // What names its definition is written anew with its text.
        if let [Node { role: Some(Role::Inline(inline)), events, .. }] = nodes
            && *inline != Inline::Named
            && events.len() > 1
            && depth < DEPTH
        {
            return self.level(events.start + 1..events.end - 1, depth + 1, groups);
        }
        groups.push(events);
    }

    fn nodes(&self, events: Range<usize>) -> Vec<Node> {
        let mut nodes = Vec::new();
        let mut i = events.start;
        while i < events.end {
            let end = self.ends[i].min(events.end - 1) + 1;
            let role = if self.is_kept(i) { Some(Role::Kept) } else { self.roles[i] };
            let said = || self.said(i..end);
            let words = said().any(|said| said.contains(char::is_alphanumeric));
            let says = said().any(|said| !said.trim().is_empty());
            let first = said().next().and_then(|said| said.chars().next());
            let last = said().last().and_then(|said| said.chars().next_back());
            let edges = first.zip(last).filter(|_| says);
            nodes.push(Node { events: i..end, role, edges, words });
            i = end;
        }
        nodes
    }

    /// Whether there is a cut in front of each node.
    fn cuts(&self, nodes: &[Node]) -> Vec<bool> {
        let mut cuts = vec![false; nodes.len() + 1];
        let direct = nodes.iter().any(|node| node.role.is_none() && node.words);
        // The last node with words, and whether nothing but tags came behind it.
        let mut last: Option<(usize, bool)> = None;
        for (k, node) in nodes.iter().enumerate() {
            if node.role == Some(Role::Field) {
                (cuts[k], cuts[k + 1]) = (true, true);
                last = None;
                continue;
            }
            if !node.words {
                let divides = node.role == Some(Role::Space) || node.edges.is_some() || self.is_text(node);
                if let Some((_, touches)) = &mut last {
                    *touches &= !divides;
                }
                continue;
            }
            if let Some((before, touches)) = last {
                let glued = touches && self.is_glued(nodes, before, k, direct);
                let items = !direct && self.rules.detects_items() && self.is_item(&nodes[before]) && self.is_item(node);
                if glued || items {
                    cuts[k] = true;
                    cuts[before + 1] = true;
                }
            }
            last = Some((k, true));
        }
        cuts
    }

    fn is_text(&self, node: &Node) -> bool {
        self.events[node.events.start].kind == Kind::Text
    }

    fn is_item(&self, node: &Node) -> bool {
        node.role == Some(Role::Inline(Inline::Item))
    }

    /// Whether the words of two nodes, with only tags between them, would be glued together although they are two.
    fn is_glued(&self, nodes: &[Node], before: usize, behind: usize, direct: bool) -> bool {
        let (a, b) = (&nodes[before], &nodes[behind]);
        let (Some((_, left)), Some((right, _))) = (a.edges, b.edges) else { return false };
        if !left.is_alphanumeric() || !right.is_alphanumeric() {
            return false;
        }
        let begins = left.is_lowercase() && right.is_uppercase();
        let between = &nodes[before + 1..behind];
        // A picture between two words; comments, anchors and places to break are inside of one.
        let parts = between.iter().any(|node| {
            let single = matches!(self.events[node.events.start].kind, Kind::Empty(_));
            single && node.role != Some(Role::InWord)
        });
        let form = |node: &Node| matches!(node.role, Some(Role::Inline(Inline::Form | Inline::Raised | Inline::Named)));
        match (a.role, b.role) {
            _ if parts => true,
            (None, None) => false,
            (None, Some(_)) | (Some(_), None) => begins && !form(a) && !form(b),
            _ if form(a) || form(b) => begins && !direct,
            _ if self.is_item(a) || self.is_item(b) => true,
            _ => !direct || begins,
        }
    }

    /// Whether an element's content is copied.
    fn is_kept(&self, i: usize) -> bool {
        let tag = matches!(self.events[i].kind, Kind::Open(_) | Kind::Empty(_));
        self.roles[i] == Some(Role::Kept) || (tag && is_kept(&self.source[self.events[i].range.clone()]))
    }

    /// The pieces of text among some events, without what is copied.
    fn said(&self, events: Range<usize>) -> impl Iterator<Item = &'a str> {
        let mut i = events.start;
        std::iter::from_fn(move || {
            while i < events.end {
                let at = i;
                i = if self.is_kept(at) { self.ends[at] + 1 } else { at + 1 };
                if self.events[at].kind == Kind::Text {
                    return Some(&self.source[self.events[at].range.clone()]);
                }
            }
            None
        })
    }

    /// Whether there is something to translate.
    fn has_letters(&self, events: Range<usize>) -> bool {
        let is_word = |text: &str| {
            let mut rest = text;
            while let Some(at) = rest.find('&') {
                if rest[..at].chars().any(char::is_alphabetic) {
                    return true;
                }
                // A reference's name is no text.
                let end = rest[at..].find([';', ' ']).map_or(rest.len(), |end| at + end + 1);
                if self.rules.resolve(&rest[at..end]).is_none_or(|text| text.chars().any(char::is_alphabetic)) {
                    return true;
                }
                rest = &rest[end..];
            }
            rest.chars().any(char::is_alphabetic)
        };
        self.said(events).any(is_word)
    }
}
