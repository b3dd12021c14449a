use super::*;
use crate::testing::{copied, shouted, translated};

fn document(xml: &str) -> XliffDocument {
    XliffDocument::read(xml, &Options::default()).unwrap()
}

fn into(language: &str) -> Options {
    Options { target: Some(language.to_string()), ..Options::default() }
}

#[test]
fn files_say_the_language_of_their_targets() {
    let one = |said: &str, target: &str| {
        format!(
            "<xliff version=\"1.2\"><file source-language=\"en\"{said} id=\"f\"><body><trans-unit \
             id=\"1\"><source>Open</source></trans-unit><trans-unit id=\"2\"><source>Close</source>{target}\
             </trans-unit></body></file></xliff>"
        )
    };
    let two = |said: &str| {
        format!(
            "<xliff version=\"2.0\" srcLang=\"en\"{said}><file id=\"f\"><unit id=\"1\"><segment><source>Open\
             </source></segment></unit></file></xliff>"
        )
    };
    let filled = |xml: &str, target: &str| XliffDocument::read(xml, &into(target)).map(copied);
    let done = "<target>Zu</target>";
    let fault = filled(&one(" target-language=\"de\"", done), "fr").unwrap_err().to_string();
    assert!(fault.contains("into de, not fr"), "{fault}");
    assert!(filled(&one(" target-language=\"de-AT\"", done), "deu_Latn").unwrap().contains("\"de-AT\""));
    assert!(filled(&one(" target-language=\"fr\"", ""), "pt_BR").unwrap().contains(" target-language=\"pt-BR\" id"));
    assert!(filled(&one("", done), "de").unwrap().contains("id=\"f\" target-language=\"de\">"));
    assert!(filled(&two(""), "de").unwrap().contains("srcLang=\"en\" trgLang=\"de\">"));
    assert!(filled(&two(" trgLang=\"de\""), "de").unwrap().contains("\"en\" trgLang=\"de\">"));
}

#[test]
fn groups_say_whether_their_units_are_translated() {
    let unit = |said: &str| format!("<trans-unit id=\"1\"{said}><source>Open</source></trans-unit>");
    let xml = format!(
        "<xliff version=\"1.2\"><file><group translate=\"no\">{}<group>{}</group>{}</group>{}</file></xliff>",
        unit(" id2=\"a\""),
        unit(" id2=\"b\""),
        unit(" translate=\"yes\""),
        unit("")
    );
    let found = copied(document(&xml));
    assert_eq!(found.matches("<target").count(), 2, "{found}");
    let open = |said: &str| format!("{said}><source>Open</source><target");
    assert!(found.contains(&open("\"yes\"")) && found.contains(&open("<trans-unit id=\"1\"")), "{found}");
}

#[test]
fn units_of_xliff_1_get_their_targets() {
    let xml = "<?xml version=\"1.0\"?>\n<xliff version=\"1.2\"><file><body>\n<trans-unit id=\"1\">\n  <source>Open <g \
               id=\"1\">the &amp; file</g><x id=\"2\"/>.</source>\n</trans-unit><trans-unit id=\"2\"><source>Done</source>\
               <target>Fertig</target></trans-unit><trans-unit id=\"3\"><source>Close <ph id=\"1\">{name}</ph></source>\
               <target state=\"new\"/><alt-trans><source>no</source><target>no</target></alt-trans></trans-unit>\
               <trans-unit id=\"4\" translate=\"no\"><source>Keep</source></trans-unit><trans-unit id=\"5\"><source>1\
               </source><target></target></trans-unit></body></file></xliff>";
    let state = " state=\"needs-review-translation\"";
    let fill = |g: &str, close: &str, one: &str| {
        xml.replace(".</source>\n", &format!(".</source>\n  <target{state}>{g}</target>\n"))
            .replace("<target state=\"new\"/>", &format!("<target{state}>{close}</target>"))
            .replace("<target></target>", &format!("<target{state}>{one}</target>"))
    };
    assert_eq!(translated(document(xml), &[]).0, ["Open the & file.", "Close {name}", "1"]);
    let close = "Close <ph id=\"1\">{name}</ph>";
    assert_eq!(copied(document(xml)), fill("Open <g id=\"1\">the &amp; file</g><x id=\"2\"/>.", close, "1"));
    let wanted = fill("OPEN <g id=\"1\">THE &amp; FILE</g><x id=\"2\"/>.", &close.replace("Close", "CLOSE"), "1");
    assert_eq!(shouted(document(xml)), wanted);
}

#[test]
fn segments_of_xliff_2_get_their_targets() {
    let xml = "<xliff version=\"2.0\" xmlns=\"urn:oasis:names:tc:xliff:document:2.0\"><file id=\"f\"><unit id=\"1\"><segment>\
               <source>Open <pc id=\"1\">it</pc>.</source></segment><segment><source>Close</source><target>Zu</target>\
               </segment></unit><unit id=\"2\" translate=\"no\"><segment><source>Keep</source></segment></unit></file></xliff>";
    let target = "<target>Open <pc id=\"1\">it</pc>.</target>";
    assert_eq!(copied(document(xml)), xml.replace("it</pc>.</source>", &format!("it</pc>.</source>{target}")));
    assert!(XliffDocument::read("<a/>", &Options::default()).is_err());
    assert!(XliffDocument::read("<xliff><file>", &Options::default()).is_err());
}

#[test]
fn codes_go_around_the_words_that_they_were_around() {
    let xml = |source: &str| {
        format!("<xliff version=\"2.0\"><unit><segment><source>{source}</source></segment></unit></xliff>")
    };
    for (source, wanted) in [
        (
            "one <sc id=\"1\"/>two three<ec startRef=\"1\"/> four",
            "FOUR <sc id=\"1\"/>THREE TWO<ec startRef=\"1\"/> ONE",
        ),
        (
            "one <bx id=\"1\" rid=\"3\"/>two<ex id=\"2\" rid=\"3\"/>",
            "<bx id=\"1\" rid=\"3\"/>TWO<ex id=\"2\" rid=\"3\"/> ONE",
        ),
    ] {
        let found = crate::testing::all_reversed(document(&xml(source)));
        assert!(found.contains(&format!("<target>{wanted}</target>")), "{found}");
    }
    // With content of their own they are points.
    let (start, end) = ("<bpt id=\"1\">{b}</bpt>", "<ept id=\"1\">{/b}</ept>");
    let found = crate::testing::all_reversed(document(&xml(&format!("one {start}two{end} three"))));
    assert!(found.rfind(start) < found.rfind(end), "{found}");
}

#[test]
fn a_target_that_says_nothing_is_filled() {
    let xml = |target: &str| {
        format!("<xliff version=\"1.2\"><file><trans-unit><source>Open</source>{target}</trans-unit></file></xliff>")
    };
    for empty in [
        "<target> </target>",
        "<target>\n</target>",
        "<target a=\">\"><mrk mtype=\"seg\" mid=\"1\"/></target>",
        "<target/>",
    ] {
        let found = XliffDocument::read(&xml(empty), &into("de")).map(copied).unwrap();
        assert!(found.contains("state=\"needs-review-translation\">Open</target></trans-unit>"), "{found}");
    }
    for done in [
        "<target>Auf</target>",
        "<target><![CDATA[Auf]]></target>",
        "<target><x id=\"1\"/></target>",
        "<target>&nbsp;</target>",
    ] {
        assert_eq!(copied(document(&xml(done))), xml(done));
    }
}

#[test]
fn protected_text_stays() {
    let xml = |version: &str, source: &str, target: &str| {
        let unit = |inner: &str| {
            if version == "1.2" {
                format!("<trans-unit id=\"1\">{inner}</trans-unit>")
            } else {
                format!("<unit id=\"1\"><segment>{inner}</segment></unit>")
            }
        };
        let inner = unit(&format!("<source>{source}</source>{target}"));
        format!("<xliff version=\"{version}\"><file>{inner}</file></xliff>")
    };
    for (version, source, wanted) in [
        (
            "1.2",
            "Open <mrk mtype=\"protected\">the file</mrk> <mrk mtype=\"seg\">now</mrk>",
            "OPEN <mrk mtype=\"protected\">the file</mrk> <mrk mtype=\"seg\">NOW</mrk>",
        ),
        ("1.2", "<mrk mtype=\"protected\">Name X</mrk> opens", "<mrk mtype=\"protected\">Name X</mrk> OPENS"),
        (
            "2.0",
            "Open <mrk id=\"1\" translate=\"no\">the <pc id=\"2\">file</pc></mrk>",
            "OPEN <mrk id=\"1\" \
         translate=\"no\">the <pc id=\"2\">file</pc></mrk>",
        ),
        (
            "2.1",
            "Open <sm id=\"m1\" translate=\"no\"/>the <pc id=\"2\">file<em startRef=\"m1\"/> now</pc>",
            "OPEN <sm id=\"m1\" translate=\"no\"/>the <pc id=\"2\">file<em startRef=\"m1\"/> NOW</pc>",
        ),
    ] {
        let found = shouted(document(&xml(version, source, "")));
        assert!(found.contains(&format!(">{wanted}</target>")), "{found}");
    }
}
