use proptest::prelude::*;
use strata_translate::Part;

use super::*;
use crate::Parts;
use crate::events::{Event, Kind};
use crate::testing::{self, part, split_at_stops};

fn parts(html: &str) -> Parts {
    Parts::new(Box::new(read(html, &Options::default()).unwrap()), &split_at_stops)
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
    assert_eq!(parts(html).texts(), ["A & B", "One two three.", "Four.", "five", "six", "seven"]);
    assert_eq!(same(html), html);
}

#[test]
fn a_page_says_its_new_language() {
    let into = |html: &str, target: Option<&str>| {
        let options = Options { target: target.map(str::to_string), ..Options::default() };
        testing::copied(read(html, &options).unwrap())
    };
    let html = "<!doctype html><HTML lang=en xml:lang='en'><p lang=\"fr\">One</p></html>";
    assert_eq!(into(html, None), html);
    assert_eq!(into(html, Some("pt_BR")), html.replace("lang=en", "lang=pt-BR").replace("'en'", "'pt-BR'"));
    for html in ["<html><p>One</p></html>", "<html lang=en translate=no><p>One</p></html>", "<p lang=en>One</p>"] {
        assert_eq!(into(html, Some("de")), html);
    }
    // And the direction of its text.
    assert_eq!(into("<html lang=en><p>One", Some("pes_Arab")), "<html lang=fa dir=\"rtl\"><p>One");
    assert_eq!(into("<html dir='RTL'><p>One", Some("de")), "<html dir='ltr'><p>One");
    for html in ["<html dir=auto><p>One", "<p dir=ltr>One", "<html translate=no><p>One"] {
        assert_eq!(into(html, Some("he")), html);
    }
    let xml = "<?xml version=\"1.0\"?><doc xml:lang=\"en\"><p xml:lang=\"en\">One</p></doc>";
    let options = Options { target: Some("de".to_string()), ..Options::default() };
    let found = testing::copied(crate::xml::read(xml, &options).unwrap());
    assert_eq!(found, xml.replacen("\"en\"", "\"de\"", 1));
    // `lang` is any element's, and a piece of a document has no root.
    for xml in
        ["<snippet lang=\"python\">One</snippet>", "One <a xml:lang=\"fr\">two</a>", "<x/><a xml:lang=\"fr\">b</a>"]
    {
        assert_eq!(testing::copied(crate::xml::read(xml, &options).unwrap()), xml);
    }
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
    let mut tags = Vec::new();
    let take = &mut |event: Event| {
        if event.kind != Kind::Text {
            tags.push(html[event.range].to_string());
        }
        Ok::<_, ()>(())
    };
    events(html, take).unwrap();
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

fn shouted(html: &str) -> String {
    testing::shouted(read(html, &Options::default()).unwrap())
}

#[test]
fn elements_side_by_side_keep_their_own_text() {
    for (html, texts) in [
        ("<nav><a href=1>Home</a><a href=2>About us</a><a href=3>Open</a></nav>", vec!["Home", "About us", "Open"]),
        ("<nav>\n <a>home</a>\n <a>about us</a> | <a>more</a>\n</nav>", vec!["home", "about us", "more"]),
        ("<span>Home</span><span>About us</span>", vec!["Home", "About us"]),
        ("<my-item>one</my-item><my-item>two</my-item>", vec!["one", "two"]),
        ("<label><input type=radio> Small</label> <label><input> Large</label>", vec!["Small", "Large"]),
        ("<a><img src=1>Home</a><img src=2><a>About us</a>", vec!["Home", "About us"]),
        ("Name<input>Address<img>City", vec!["Name", "Address", "City"]),
        ("<button>OK</button><button>Cancel</button>", vec!["OK", "Cancel"]),
        ("<b>Name</b><i>Address</i>", vec!["Name", "Address"]),
        ("<p>See <a>one</a> and <a>two</a>.</p>", vec!["See one and two."]),
        ("<p><span>This is </span><span>bold</span><span> text</span></p>", vec!["This is bold text"]),
        ("<p>un<b>believ</b><i>able</i> and won<wbr>der<!-- x -->ful</p>", vec!["unbelievable and wonderful"]),
        ("<p><b>O</b>nce upon a time</p>", vec!["Once upon a time"]),
        ("<div><a>All of it</a></div>", vec!["All of it"]),
    ] {
        assert_eq!(parts(html).texts(), texts, "{html}");
        assert_eq!(same(html), html);
        let upper = texts.iter().fold(html.to_string(), |html, text| html.replacen(text, &text.to_uppercase(), 1));
        if html.contains(texts[texts.len() - 1]) && !html.contains("and <a>") {
            assert_eq!(shouted(html), upper);
        }
    }
}

#[test]
fn markup_inside_of_a_word_stays_inside() {
    let html = "<p>Water is H<sub>2</sub>O and 10 m<sup>2</sup>. Open the file<sup>1</sup>.</p>";
    assert_eq!(parts(html).texts(), ["Water is H2O and 10 m.", "Open the file."]);
    assert_eq!(same(html), html);
    assert_eq!(shouted(html), "<p>WATER IS H<sub>2</sub>O AND 10 M<sup>2</sup>. OPEN THE FILE<sup>1</sup>.</p>");
    let html = "<p>un<b>believ</b>able things, <b>O</b>nce</p>";
    assert_eq!(shouted(html), "<p>UN<b>BELIEV</b>ABLE THINGS, <b>O</b>NCE</p>");
    // Another word has the markup in the same share of it.
    let html = "<p><b>O</b>nce</p>";
    assert_eq!(translated(html, "Einst"), "<p><b>E</b>inst</p>");
}

#[test]
fn space_and_references_stay_as_they_are_written() {
    let html =
        "<p> The&nbsp;old <b>dog </b>\n sees\n   <i> a</i> &copy;&#8364; cat &amp; 1 > 0 <!-- x --> <img> now </p>";
    assert_eq!(same(html), html);
    let upper =
        "<p> THE&nbsp;OLD <b>DOG </b>\n SEES\n   <i> A</i> &copy;&#8364; CAT &amp; 1 > 0 <!-- x --> <img> NOW </p>";
    assert_eq!(shouted(html), upper);
}

#[test]
fn what_no_model_sees_stays() {
    for html in [
        "<p>AT&amp;T &nbsp; R&amp;D</p>",
        "<p>One &nbsp; two &mdash; three &hellip; done.</p>",
        "<p>Open the dia&shy;logue &nbsp;and&#160;the&ZeroWidthSpace; file&zwj;</p>",
        "<p>dia\u{ad}logue &copy; so\u{ad}ft <b>hy&shy;phen</b>.</p>",
        "<p dir=rtl>\u{200f}שלום\u{200f} עולם! <b>Open\u{200e}</b> \u{202a}Open\u{202c} &rlm;x&lrm; &#8207;y</p>",
        "<p>Cafe\u{301} at <i>e\u{301}</i> Viê\u{323}t</p>",
        "<p>Open\u{200b}the\u{feff} x\u{2060}y</p>",
    ] {
        let document = read(html, &Options::default()).unwrap();
        assert_eq!(testing::copied_plainly(document), html);
    }
}

#[test]
fn templates_instructions_and_script_stay_byte_for_byte() {
    for html in [
        "<?php echo \"a > b\"; ?><p>open the file</p>",
        "<template><p>keep</p></template><p>open</p>",
        "<p>open <ruby>a<rt>b</rt></ruby></p><svg><text>keep</text></svg><math><mi>x</mi></math>",
    ] {
        assert_eq!(same(html), html);
    }
    assert_eq!(shouted("<template><p>keep</p></template><p>open</p>"), "<template><p>keep</p></template><p>OPEN</p>");
}

/// Random pages.
fn page() -> impl Strategy<Value = String> {
    let more = &[
        "&nbsp;",
        "<img src=x>",
        "<br>",
        "<input>",
        "<!-- c -->",
        "<code>a &lt; b</code>",
        "H",
        "2",
        "ü&uuml;",
        "<wbr>",
        "https://e.org/a?b=c",
        "日本。",
    ];
    let name = prop::sample::select(vec!["b", "a", "span", "sub", "sup", "p", "my-x", "li", "td", "i", "button"]);
    testing::markup(more, prop::option::of(name))
}

proptest! {
    #[test]
    fn a_page_stays_as_it_is_with_a_model_that_copies(html in page()) {
        prop_assert_eq!(testing::copied(read(&html, &Options::default()).unwrap()), html);
    }

    /// Nothing stays by itself here: every piece has to be placed.
    #[test]
    fn markup_and_space_stay_in_place_where_every_word_changes(html in page()) {
        // A word that changes is written without references.
        let html = html.replace("&uuml;", "u");
        let wanted = html.to_uppercase();
        prop_assert_eq!(shouted(&html).to_uppercase(), wanted);
    }
}
