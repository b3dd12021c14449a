//! Signs such as `€`, `©`, `×` and `½`. A vocabulary may have them without their having been learned; only a
//! translation shows that. But a translation may also write them in words: `5 €` becomes `5 Euro`.

use std::ops::Range;

/// What signs are called, in lower case: whole words after `=`, else beginnings of words, or any part of a text in
/// scripts without spaces. The list need not be whole. A sign that is written in words which are not here is copied, as
/// if it were lost; a name that other words begin with, too, would hide real losses.
const NAMES: [(&str, &[&str]); 26] = [
    ("#", &["=nr", "=no", "=n", "nº", "№", "＃", "number", "nummer", "número", "numéro", "номер", "号", "號", "番"]),
    ("+", &["＋", "=plus", "плюс"]),
    ("<", &["＜", "kleiner", "weniger", "menor", "menos", "inférieur", "меньш", "менее", "小于", "未満"]),
    (">", &["＞", "größer", "mehr", "mayor", "maior", "supérieur", "больш", "более", "大于"]),
    ("=", &["＝", "equal", "gleich", "igual", "égal", "равн", "等于"]),
    ("~@{}|^\\", &["～", "＠", "｛", "｝", "｜", "＾", "＼", "circa", "=ca", "about", "etwa", "environ", "≈"]),
    (
        "€",
        &[
            "=eur",
            "=euro",
            "=euros",
            "=euró",
            "=euroa",
            "=evro",
            "=evra",
            "=evrov",
            "=avro",
            "=eiro",
            "=ewro",
            "=евро",
            "=євро",
            "=еўра",
            "=ευρώ",
            "欧元",
            "歐元",
            "ユーロ",
            "유로",
            "يورو",
            "یورو",
            "यूरो",
            "ยูโร",
            "אירו",
        ],
    ),
    (
        "£₤",
        &[
            "=gbp",
            "=pound",
            "=pounds",
            "pfund",
            "=pond",
            "=pund",
            "=livre",
            "=livres",
            "=libra",
            "=libras",
            "sterl",
            "=funt",
            "=funtów",
            "фунт",
            "λίρ",
            "bảng",
            "英镑",
            "英鎊",
            "ポンド",
            "파운드",
            "جنيه",
            "پوند",
            "पाउंड",
            "ปอนด์",
        ],
    ),
    (
        "¥",
        &[
            "=jpy",
            "=cny",
            "=rmb",
            "=yen",
            "=yens",
            "=jenów",
            "=jenů",
            "yuan",
            "=иен",
            "=иены",
            "=йен",
            "=єн",
            "юан",
            "γιεν",
            "円",
            "元",
            "엔",
            "위안",
            "=ين",
            "येन",
            "เยน",
        ],
    ),
    ("¢", &["=cent", "=cents", "centav", "centes", "цент", "λεπτ", "セント", "센트", "美分", "=سنت"]),
    ("₹₨", &["=inr", "rupee", "rupi", "roupie", "рупи", "ρουπ", "卢比", "盧比", "ルピー", "루피", "روبي", "रुप"]),
    ("₽", &["=rub", "rubel", "rubl", "rouble", "рубл", "ρούβλ", "卢布", "盧布", "ルーブル", "루블", "روبل"]),
    ("₩", &["=krw", "=won", "γουόν", "韩元", "韓元", "ウォン", "원"]),
    ("₺", &["=lira", "=liras", "=lires", "=лир", "λίρ", "里拉", "リラ", "리라", "=ليرة"]),
    ("₴", &["=uah", "hryvn", "hriv", "грив", "=грн", "格里夫纳"]),
    ("₪", &["shek", "schek", "szekl", "шекел", "שקל", "شيكل"]),
    ("₫", &["=vnd", "=dong", "=đồng", "=донг"]),
    (
        "°",
        &[
            "=deg",
            "degree",
            "degré",
            "=grad",
            "grade",
            "grado",
            "gradi",
            "grau",
            "=grader",
            "=graden",
            "stopni",
            "stupň",
            "astetta",
            "=fok",
            "derece",
            "=độ",
            "º",
            "градус",
            "βαθμ",
            "度",
            "도",
            "درج",
            "डिग्री",
            "องศา",
            "מעלות",
        ],
    ),
    (
        "×",
        &[
            "=x", "*", "·", "=by", "times", "mal", "fois", "veces", "volte", "vezes", "keer", "razy", "krát", "kez",
            "на", "乘", "倍", "回",
        ],
    ),
    ("±", &["+/-", "+-", "plus", "más", "più", "mais", "плюс", "正负", "正負"]),
    (
        "¼½¾",
        &[
            "1/",
            "3/",
            "1⁄",
            "3⁄",
            "half",
            "halb",
            "hälfte",
            "demi",
            "moiti",
            "medi",
            "mitad",
            "mezz",
            "meia",
            "metà",
            "metade",
            "helft",
            "half",
            "halv",
            "poł",
            "pół",
            "půl",
            "polov",
            "поло",
            "yarım",
            "半",
            "一半",
            "quart",
            "cuart",
            "viert",
            "kwart",
            "чверт",
            "четв",
        ],
    ),
    ("→⇒", &["->", "=>", ">"]),
    ("≤≥≠", &["<=", ">=", "!=", "≦", "≧"]),
    ("©", &["(c)", "copyright", "авторск", "著作権", "版权", "版權"]),
    (
        "®™",
        &[
            "(r)",
            "(tm)",
            "=tm",
            "trademark",
            "registered",
            "warenzeichen",
            "eingetragen",
            "=marque",
            "=marca",
            "товарн",
        ],
    ),
    (
        "§¶",
        &[
            "section",
            "secci",
            "seç",
            "sezion",
            "paragra",
            "parágra",
            "párrafo",
            "abschnitt",
            "absatz",
            "artikel",
            "articl",
            "artíc",
            "artig",
            "пункт",
            "параграф",
            "стать",
            "статт",
            "παράγρ",
            "άρθρ",
            "条",
            "條",
            "조",
            "مادة",
        ],
    ),
];

/// Whether a character is such a sign: those of Latin-1, currencies, small digits, fractions, letterlike signs, arrows,
/// operators, shapes, bullets; and of ASCII those that no language writes in another way or in words as a rule: a
/// vocabulary may lack them, and `x < 5` without its sign, or with another, says something else.
fn is_sign(c: char) -> bool {
    matches!(c, '#' | '+' | '<'..='>' | '@' | '\\' | '^' | '{'..='~' | '\u{a2}'..='\u{a7}' | '©' | '¬' | '®' | '°'..='³' | '¶' | '¹' | '¼'..='¾' | '×' | '÷' | '†'..='‣' | '‰' | '‱'
        | '\u{2070}'..='\u{209c}' | '\u{20a0}'..='\u{22ff}' | '\u{25a0}'..='\u{25ff}')
}

/// Whether a sign may be part of a number, unit or short name: `€5`, `3×4`, `km²`, `°C`, `C#`, `x<5`.
fn is_numeric(c: char) -> bool {
    matches!(c, '#' | '+' | '<'..='>' | '^' | '~' | '\u{a2}'..='\u{a5}' | '°'..='³' | '¹' | '¼'..='¾' | '×' | '÷' | '‰' | '‱' | '\u{2070}'..='\u{20cf}'
        | '\u{2150}'..='\u{218f}')
}

/// Letters of a unit, at most.
const UNIT: usize = 3;

/// The signs of a text, outside of what is `copied`, that its translation neither has nor writes in words, each with
/// the number or unit that it stands in.
pub(crate) fn lost(text: &str, copied: &[Range<usize>], translation: &str) -> Vec<Range<usize>> {
    let is_copied = |range: &Range<usize>| copied.iter().any(|c| c.start < range.end && range.start < c.end);
    let places = text.char_indices().filter(|(_, c)| is_sign(*c)).map(|(at, c)| (at..at + c.len_utf8(), c));
    places
        .filter(|(range, c)| !translation.contains(*c) && !is_copied(range) && !is_written_out(*c, text, translation))
        .map(|(range, c)| if is_numeric(c) { with_unit(text, range) } else { range })
        .filter(|range| !is_copied(range))
        .collect()
}

/// A sign with the number or the few letters on each of its sides.
fn with_unit(text: &str, sign: Range<usize>) -> Range<usize> {
    let before = unit(text[..sign.start].chars().rev());
    sign.start - before..sign.end + unit(text[sign.end..].chars())
}

/// Bytes of the number or the few letters that `characters` begin with, read in either direction; 0 for a longer word.
fn unit(characters: impl Iterator<Item = char>) -> usize {
    let (mut characters, mut letters, mut bytes, mut in_number) = (characters.peekable(), 0, 0, false);
    while let Some(c) = characters.next() {
        let digit_follows = characters.peek().is_some_and(|next| next.is_numeric());
        let point = in_number && digit_follows && matches!(c, '.' | ',');
        if !c.is_alphanumeric() && !point {
            break;
        }
        letters += usize::from(c.is_alphabetic());
        bytes += c.len_utf8();
        in_number = c.is_numeric();
    }
    if letters <= UNIT { bytes } else { 0 }
}

/// Whether a translation has a name of the sign more often than its text, which may have both: `the euro (€)`.
fn is_written_out(sign: char, text: &str, translation: &str) -> bool {
    let names = NAMES.iter().find(|(signs, _)| signs.contains(sign)).map_or(&[][..], |(_, names)| names);
    named(names, translation) > named(names, text)
}

/// How often a text has one of these names.
fn named(names: &[&str], text: &str) -> usize {
    let text = text.to_lowercase();
    let letter = |c: Option<char>| c.is_some_and(char::is_alphabetic);
    let is_there = |name: &str, at: usize, whole: bool| {
        // Scripts from Thai on have no spaces, or endings that are one word with it.
        let begins = name.chars().any(|c| c >= '\u{e00}') || !letter(text[..at].chars().next_back());
        begins && !(whole && letter(text[at + name.len()..].chars().next()))
    };
    let count = |name: &&str| {
        let (name, whole) = name.strip_prefix('=').map_or((*name, false), |name| (name, true));
        text.match_indices(name).filter(|(at, _)| is_there(name, *at, whole)).count()
    };
    names.iter().map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost_of<'a>(text: &'a str, translation: &str) -> Vec<&'a str> {
        lost(text, &[], translation).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn a_sign_in_words_is_not_lost() {
        for (text, translation) in [
            ("It costs 5 €.", "Es kostet 5 Euro."),
            ("It costs €5.", "Il coûte 5 euros."),
            ("It costs 5 €.", "Es kostet 5 EUR."),
            ("It costs 5 €.", "Это стоит 5 евро."),
            ("It costs 5 €.", "これは5ユーロです。"),
            ("It costs £5 or ¥700.", "Es kostet 5 Pfund oder 700 Yen."),
            ("Turn it by 90°.", "Drehen Sie es um 90 Grad."),
            ("Turn it by 90°.", "Girar 90º."),
            ("See § 5.", "Voir l'article 5."),
            ("© 2026 Example", "(C) 2026 Example"),
            ("€5 and €7", "5 und 7 Euro"),
            ("5 €", "5 €"),
            ("A 3×4 grid", "Ein Gitter von 3 x 4"),
            ("½ cup", "eine halbe Tasse"),
            ("½ cup", "1⁄2 Tasse"),
            ("A → B", "A -> B"),
            ("Apartment #4", "Apartamento n.º 4"),
            ("if a < b", "wenn a kleiner als b ist"),
            ("x = 5", "ｘ＝5"),
            ("R&D for 5 % or $5", "F&E für 5 Prozent oder 5 Dollar"),
        ] {
            assert_eq!(lost_of(text, translation), Vec::<&str>::new(), "{text} {translation}");
        }
    }

    #[test]
    fn a_sign_that_is_missing_is_lost() {
        for (text, translation, signs) in [
            ("It costs 5 €.", "Es kostet 5.", vec!["€"]),
            ("It costs 5 €.", "Es kostet 5 in Europa.", vec!["€"]),
            ("The euro (€) is a currency.", "Der Euro () ist eine Währung.", vec!["€"]),
            ("Turn it by 90° for £5.", "Drehen Sie es um 90 Grad für 5.", vec!["£5"]),
            ("Example™ for 5 ₿", "Beispiel für 5", vec!["™", "₿"]),
            ("Wait 5 µs at 20 °C.", "Warten Sie 5 µs bei 20 C.", vec!["°C"]),
            ("It costs 5 €.", "Es kostet 5 Neuro.", vec!["€"]),
            ("It costs €5.", "Es kostet 5.", vec!["€5"]),
            ("A 3×4 grid of 5 km².", "Ein Gitter.", vec!["3×4", "km²"]),
            ("½ cup at 20°C or Example™", "Tasse", vec!["½", "20°C", "™"]),
            ("Use Datei→Neu now", "Jetzt", vec!["→"]),
            ("• File", "Datei", vec!["•"]),
            ("BMI < 25 and BMI > 30", "BMI > 25 und BMI > 30", vec!["<"]),
            ("I speak C# and F#.", "Ich spreche C und F.", vec!["C#", "F#"]),
            ("significant (p<0.05)", "signifikant (p-0,05)", vec!["p<0.05"]),
            ("a {b c} d \\ e ^ f", "a b c d", vec!["{", "}", "\\", "^"]),
        ] {
            assert_eq!(lost_of(text, translation), signs, "{text} {translation}");
        }
        let copied = std::slice::from_ref(&(2..5));
        assert!(lost("5 €", copied, "5").is_empty(), "what is copied comes back anyhow");
    }
}
