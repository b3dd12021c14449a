use super::*;
use crate::Parts;
use crate::testing::{aligned, copied, shouted, split_at_stops, translated};

fn document(text: &str) -> Running {
    read(text, &Limits::default()).unwrap()
}

const TEXT: &str = "---\ntitle: Front\n---\n# Open the *file*\n\nClick **the icon**, then\nrun `ls -l` \\*now\\* &amp; see \
                    [the manual](https://e.org \"title\")[^1].\n\n> Quoted text\n> goes on\n\n- [ ] one item\n- another\n  \
                    line\n\n```sh\nkeep this\n```\n\n| Name | Value |\n|---|---|\n| red | 1 |\n\n![A picture](a.png) and \
                    <b>bold</b>  \nnext line\n\n<div>block</div>\n\n[^1]: The note.\n";

#[test]
fn running_text_is_translated_and_the_rest_stays() {
    let parts = translated(document(TEXT), &[]).0;
    assert_eq!(parts[..2], ["Open the file", "Click the icon, then run ls -l *now* & see the manual."]);
    assert_eq!(parts[2..6], ["Quoted text goes on", "one item", "another line", "Name"]);
    assert_eq!(copied(document(TEXT)), TEXT);
    let wanted = "# OPEN THE *FILE*\n\nCLICK **THE ICON**, THEN\nRUN `ls -l` \\*NOW\\* &amp; SEE [THE MANUAL](https://e.org \
                  \"title\")[^1].\n\n> QUOTED TEXT\n> GOES ON\n\n- [ ] ONE ITEM\n- ANOTHER\n  LINE\n\n```sh\nkeep this\n";
    let found = shouted(document(TEXT));
    assert!(found.contains(wanted), "{found}");
    assert!(
        found.contains("![A PICTURE](a.png) AND <b>BOLD</b>  \nNEXT LINE\n\n<div>block</div>\n\n[^1]: THE NOTE.\n"),
        "{found}"
    );
}

#[test]
fn a_translation_makes_no_markup() {
    for (text, said, wanted) in [
        ("Tomorrow\n", "5. Mai", "5\\. Mai\n"),
        ("- Tomorrow\n", "# nine", "- \\# nine\n"),
        ("Tomorrow\n", "> one", "\\> one\n"),
        ("Tomorrow\n", "+ one", "\\+ one\n"),
        ("Tomorrow\n", "-5 #1 5.5 x", "-5 #1 5.5 x\n"),
        ("Tomorrow\n", "~~a~~ &amp; AT&T", "\\~\\~a\\~\\~ \\&amp; AT&T\n"),
        ("| One |\n|---|\n", "a|b", "| a\\|b |\n|---|\n"),
    ] {
        assert_eq!(translated(document(text), &[said]).1, wanted);
    }
    for text in ["# 5. May\n", "one\n5. two\n", "| - a | # b |\n|---|---|\n", "\\# one ~ two | three\n", "1\\. one\n"] {
        assert_eq!(copied(document(text)), text);
    }
}

#[test]
fn markup_around_nothing_is_left_out() {
    // No word of the translation comes from the ones in the middle.
    for (text, wanted) in [
        ("Save **the** file\n", "Sichern\n"),
        ("Save ***the*** file\n", "Sichern\n"),
        ("Save ~~the~~ *`file`*\n", "Sichern *`file`*\n"),
        ("Save [the](x) file\n", "Sichern [the](x)\n"),
        ("Save ![the](x) file\n", "Sichern ![](x)\n"),
    ] {
        let parts = Parts::new(Box::new(document(text)), &split_at_stops);
        let part = aligned(&parts.texts()[0], "Sichern", &[0]);
        let found = parts.render_text(&[part], 0).unwrap();
        assert_eq!(
            found.split_whitespace().collect::<Vec<_>>(),
            wanted.split_whitespace().collect::<Vec<_>>(),
            "{found}"
        );
    }
}

/// What a model that copies leaves, and what one that shouts makes of it.
fn check(text: &str, wanted: &str) {
    assert_eq!(copied(document(text)), text);
    assert_eq!(shouted(document(text)), wanted);
}

#[test]
fn links_by_reference_find_their_definitions() {
    let definitions = "\n\n[the manual]: https://e.org\n[install guide]: b.md\n[**1** two]: c.md\n[7]: d.md\n";
    for (text, wanted) in [
        ("See [the manual][] now.", "SEE [THE MANUAL][the manual] NOW."),
        ("See [install guide].", "SEE [INSTALL GUIDE][install guide]."),
        ("[install guide]", "[INSTALL GUIDE][install guide]"),
        ("- [install guide]\n- **[the manual][]**", "- [INSTALL GUIDE][install guide]\n- **[THE MANUAL][the manual]**"),
        ("An ![install guide] here", "AN ![INSTALL GUIDE][install guide] HERE"),
        ("![the manual][]", "![THE MANUAL][the manual]"),
        ("[**1** two] and [7], [7][]", "[**1** TWO][**1** two] AND [7], [7][]"),
        ("See [the\nmanual].", "SEE [THE\nMANUAL][the\nmanual]."),
        ("[a book][the manual], [x](y)", "[A BOOK][the manual], [X](y)"),
        ("no [link here] at all", "NO [LINK HERE] AT ALL"),
    ] {
        check(&(text.to_string() + definitions), &(wanted.to_string() + definitions));
    }
    let text = "Read [the manual][].\n\n[the manual]: a.md\n";
    let found = translated(document(text), &["Leia o manual."]).1;
    assert!(found.contains("][the manual]"), "{found}");
}

#[test]
fn front_matter_in_toml_stays() {
    check("+++\ntitle = \"Front page\"\n+++\n\nThe text\n", "+++\ntitle = \"Front page\"\n+++\n\nTHE TEXT\n");
}

#[test]
fn formulas_stay_and_prices_are_text() {
    for (text, wanted) in [
        ("If $a < b$ then $x_i*y*z$ holds.\n", "IF $a < b$ THEN $x_i*y*z$ HOLDS.\n"),
        ("See\n\n$$\na < b \\\\\nc & d\n$$\n\nnow\n", "SEE\n\n$$\na < b \\\\\nc & d\n$$\n\nNOW\n"),
        ("Take $2x$, $n$-th and $3 \\cdot y$ now\n", "TAKE $2x$, $n$-TH AND $3 \\cdot y$ NOW\n"),
        ("It costs $5 and $10 a day.\n", "IT COSTS $5 AND $10 A DAY.\n"),
        (
            "From $5-$10, or $5 apples (10$) and US$5/CA$6, $x$ too\n",
            "FROM $5-$10, OR $5 APPLES (10$) AND US$5/CA$6, $x$ TOO\n",
        ),
        (
            "Where\n\\begin{equation}\na < b_i \\\\\n*c* & d\n\\end{equation}\nholds\n",
            "WHERE\n\\begin{equation}\na < b_i \\\\\n*c* & d\n\\end{equation}\nHOLDS\n",
        ),
        (
            "> \\begin{align*}\n> \\begin{x}a\\end{x} &= b\n> \\end{align*} and\n> so\n\n\\begin{open} here\n",
            "> \\begin{align*}\n> \\begin{x}a\\end{x} &= b\n> \\end{align*} AND\n> SO\n\n\\bEGIN{open} HERE\n",
        ),
    ] {
        check(text, wanted);
    }
}

#[test]
fn addresses_and_paths_that_are_copied_stay_as_they_are_written() {
    let text = "Open https://example.com/~user/ and https://x.org/?q=a|b, or ~/.bashrc\n";
    let say = |word: &str| if ["Open", "and", "or"].contains(&word) { word.to_uppercase() } else { word.to_string() };
    let found = String::from_utf8(crate::testing::said(Box::new(document(text)), &say)).unwrap();
    assert_eq!(found, text.replace("Open", "OPEN").replace("and", "AND").replace(" or ", " OR "));
}

#[test]
fn alerts_containers_and_definitions_keep_their_lines() {
    for (text, parts, wanted) in [
        ("> [!NOTE]\n> Read this\n> first.\n", vec!["Read this first."], "> [!NOTE]\n> READ THIS\n> FIRST.\n"),
        ("> [!tip]- A title\n> The text\n", vec!["A title", "The text"], "> [!tip]- A TITLE\n> THE TEXT\n"),
        (
            "::: tip\nThe *text*\ngoes on\n:::\nand on\n",
            vec!["The text goes on", "and on"],
            "::: tip\nTHE *TEXT*\nGOES ON\n:::\nAND ON\n",
        ),
        (
            "Term one\nTerm two\n: Its definition\n  goes on\n:   Another\n\n: A third\n",
            vec!["Term one", "Term two", "Its definition goes on", "Another", "A third"],
            "TERM ONE\nTERM TWO\n: ITS DEFINITION\n  GOES ON\n:   ANOTHER\n\n: A THIRD\n",
        ),
        ("Now\n:tada: it is [!NOTE] : so\n", vec!["Now :tada: it is [!NOTE] : so"], "NOW\n:tada: IT IS [!NOTE] : SO\n"),
    ] {
        assert_eq!(translated(document(text), &[]).0, parts, "{text}");
        check(text, wanted);
    }
}

proptest::proptest! {
    #[test]
    fn lines_come_back(
        lines in proptest::collection::vec(
            proptest::sample::select(vec![
                "a b", "::: tip", ":::", "> [!NOTE]", "> c", ": d", "", "\\begin{x}", "\\end{x} e", "*f $g$", "h* $i",
                "[j k][] l", "[m\nn]", "[m n]: o", "[j k]: p", "> \\begin{x} *", "$$", "- q", "+++", "    r",
            ]),
            0..12,
        ),
    ) {
        let text = lines.join("\n");
        proptest::prop_assert_eq!(copied(document(&text)), &*text);
        let upper = shouted(document(&text)).to_uppercase();
        // The labels of links are said again.
        if !text.contains("]: ") {
            proptest::prop_assert_eq!(upper, text.to_uppercase());
        }
    }

    #[test]
    fn any_text_comes_back(text in "[a-c \\n$*_\\[\\]()`#>|<&;~^:!\\\\-]{0,40}") {
        proptest::prop_assert_eq!(copied(document(&text)), text);
    }
}
