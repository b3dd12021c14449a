use proptest::prelude::*;
use strata_translate::Part;

use super::*;
use crate::documents::Parts;
use crate::documents::testing::{part, split_at_stops};

fn parts(html: &str) -> Parts {
    Parts::new(Box::new(HtmlDocument::read(html.to_string())), &split_at_stops)
}

/// The page with each of its parts translated to `said`, without alignments.
fn translated(html: &str, said: &str) -> String {
    let parts = parts(html);
    let translations: Vec<Part> = parts.texts().iter().map(|_| part(said)).collect();
    parts.render_text(&translations, 0).unwrap()
}

/// Every part translated to itself.
fn same(html: &str) -> String {
    let parts = parts(html);
    let translations: Vec<Part> = parts.texts().iter().map(|text| part(text)).collect();
    parts.render_text(&translations, 0).unwrap()
}

#[test]
fn running_text_is_found_and_the_rest_is_not_translated() {
    let html = "<!DOCTYPE html><html><head><title>A &amp; B</title><style>p{x:y}</style><script>if(a<b)c()</script></head>\
                <body><p class=\"x\">One <b>two</b>\n three. Four.</p><pre>keep this</pre><p translate=no>kept</p>\
                <ul><li>five<li>six<br>seven</ul><!-- a comment --><code>x</code></body></html>";
    assert_eq!(parts(html).texts(), ["A & B", "One two three.", "Four.", "five", "six", "seven", "x"]);
    assert_eq!(same(html), html.replace("\n three", " three"));
}

#[test]
fn scripts_do_not_come_in_by_a_translation() {
    let html = translated("<p>Hello <b>you</b></p>", "<script>alert(1)</script> & <img src=x onerror=y>");
    assert!(!html.contains("<script") && !html.contains("<img") && html.contains("&lt;script&gt;"), "{html}");
    assert!(html.starts_with("<p>") && html.contains("<b>") && html.ends_with("</p>"), "{html}");
}

#[test]
fn code_stays_byte_for_byte() {
    for code in ["<code>a &lt; <i>b</i></code>", "<span translate=\"no\">Name X</span>", "<kbd class='k'>Ctrl</kbd>"] {
        let html = format!("<p>Type {code} now</p>");
        let found = translated(&html, "Schreiben Sie etwas anderes jetzt");
        assert_eq!(found.matches(code).count(), 1, "{found}");
    }
}

#[test]
fn odd_pages_stay_whole() {
    for html in [
        "",
        "<",
        "a < b",
        "<p",
        "</p>",
        "<b>x",
        "x</b>y",
        "<code>x",
        "<b><i>x</b>y</i>",
        "<script>x",
        "<!-- x",
        "&",
        "&amp;",
        "<p>\u{fffd}ü</p>",
        "<a href='>'>x</a>",
        "<textarea>a <b> c</textarea>",
        "<svg><p>x</p></svg>",
    ] {
        let found = same(html);
        let brackets = |text: &str| text.matches('<').count() + text.matches("&lt;").count();
        assert_eq!(brackets(&found), brackets(html), "{html} became {found}");
    }
    let deep = "<b>".repeat(300) + "x" + &"</b>".repeat(90);
    assert_eq!(same(&deep).matches("<b>").count(), 300);
}

/// Tags and comments as they stand, sorted.
fn tags(html: &str) -> Vec<String> {
    let mut tags: Vec<String> = events(html)
        .iter()
        .filter(|event| !matches!(event, Event::Text(..)))
        .map(|event| html[event.range()].to_string())
        .collect();
    tags.sort();
    tags
}

/// Two placeholders and an empty link that all lay claim to the same words.
#[test]
fn siblings_that_claim_the_same_words_do_not_overlap() {
    let html = "{name}<a href=#><a href=#> </a>{name}</a>";
    assert_eq!(tags(&translated(html, "&a&.&}aaa}&a")), tags(html));
}

proptest! {
    #[test]
    fn any_text_is_taken(html in ".{0,40}", more in "[<>/a!\\-\"'= p&;\u{fc}\r\n]{0,40}") {
        for html in [&html, &more, &(more.clone() + &html)] {
            parts(html).render_text(&[], 0).unwrap();
        }
    }

    #[test]
    fn every_tag_is_there_once_whatever_the_translation_says(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "<b>", "</b>", "<i class=\"a>b\">", "</i>", "<p>", "</p>", "<br>", "<img src=x>", "<code>", "</code>", "word ",
                "Two. ", "{name}", "&lt;", "<!-- c -->", "<a href=#>", "</a>", " ", "x<y",
            ]),
            0..30,
        ),
        said in "[a-z<>&{}. ]{0,40}",
    ) {
        let html = pieces.concat();
        let found = translated(&html, &said);
        prop_assert_eq!(tags(&found), tags(&html), "{} became {}", html, found);
    }
}
