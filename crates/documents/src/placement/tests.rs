use super::*;
use crate::testing::aligned;

/// A span; its mark is also its place among the elements.
fn span(mark: usize, range: Range<usize>, parent: Option<usize>) -> Element {
    Element { kind: Kind::Span, range, ..Element::point(mark, 0, parent) }
}

/// The translation of a text that is one part, with `tags` for the marks: a span's start and end, or a point.
fn placed(text: &str, elements: Vec<Element>, tags: &[(&str, &str)], part: Part) -> String {
    let pieces = Tree::new(text, &elements).place(std::slice::from_ref(&(0..text.len())), &[part], 0);
    let write = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Same(range) => text[range.clone()].to_string(),
        Piece::Open(mark) | Piece::Point(mark) => tags[*mark].0.to_string(),
        Piece::Close(mark) => tags[*mark].1.to_string(),
    };
    pieces.iter().map(write).collect()
}

#[test]
fn markup_follows_the_words_where_they_go() {
    let text = "I have seen the red house";
    let elements = vec![
        span(0, 12..25, None),    // the red house
        span(1, 16..19, Some(0)), // red
        span(2, 7..11, None),     // seen
    ];
    let tags = [("<a href=x>", "</a>"), ("<b>", "</b>"), ("<i>", "</i>")];
    let part = aligned(text, "Ich habe das rote Haus gesehen", &[0, 1, 3, 4, 5, 2]);
    let html = placed(text, elements, &tags, part);
    assert_eq!(html, "Ich habe <a href=x>das <b>rote</b> Haus</a> <i>gesehen</i>");
}

#[test]
fn a_model_may_have_no_tag_in_front_of_a_sentence() {
    let mut part = aligned("click the icon", "clique no icon", &[0, 1, 2]);
    part.source.tokens.remove(0);
    for row in &mut part.targets[0].attention {
        row.remove(0);
    }
    // Where the first word had no place, the second best attention moved its translation into the element.
    part.targets[0].attention[0][2] = 0.05;
    let tags = [("<b>", "</b>")];
    let html = placed("click the icon", vec![span(0, 10..14, None)], &tags, part);
    assert_eq!(html, "clique no <b>icon</b>");
}

#[test]
fn an_element_in_two_places_takes_the_longer_run_and_one_nowhere_stands_empty() {
    let text = "old dogs the bark";
    let elements = vec![span(0, 0..8, None), span(1, 9..12, None), Element::point(2, 12, None)];
    let tags = [("<b>", "</b>"), ("<i>", "</i>"), ("<img>", "")];
    let html = placed(text, elements, &tags, aligned(text, "alte bellen alte Hunde", &[0, 3, 0, 1]));
    assert!(html.contains("<b>alte Hunde</b>") && html.contains("<i></i>") && html.contains("<img>"), "{html}");
    assert!(html.find("<img>") < html.find("bellen"), "{html}");
}

#[test]
fn placeholders_stay_whatever_the_model_makes_of_them() {
    let text = "Open {file_name} in %s now";
    let html = placed(text, Vec::new(), &[], aligned(text, "Jetzt das {Datei} öffnen", &[4, 0, 1, 0]));
    assert!(html.contains("das {file_name} öffnen") && html.matches("%s").count() == 1, "{html}");
}

#[test]
fn a_placeholder_is_in_the_innermost_of_elements_that_hold_the_same() {
    let text = "{name} is here";
    let elements = vec![span(0, 0..6, None), span(1, 0..6, Some(0))];
    let tags = [("<a>", "</a>"), ("<b>", "</b>")];
    let html = placed(text, elements, &tags, aligned(text, "Hier ist {Name}", &[2, 1, 0]));
    assert_eq!(html, "Hier ist <a><b>{name}</b></a>");
}

#[test]
fn what_is_around_all_of_the_text_is_around_all_of_the_translation() {
    let text = "Save as";
    let part = aligned(text, "Speichern unter neuem Namen", &[0, 1, 9, 9]);
    let html = placed(text, vec![span(0, 0..7, None)], &[("<b>", "</b>")], part);
    assert_eq!(html, "<b>Speichern unter neuem Namen</b>");
}
