//! What short texts show of their language: letters that a language lacks, and words that make sentences.
//!
//! Trigrams of letters say little of a word or two. Words such as "the", "ist" and "para" say much, and are in most
//! phrases; `bench/detection.py` measures what they are worth (docs/measurements/text.md).

use whatlang::Lang;

/// Languages with the letters that they have besides a to z, and frequent words. Among the words of English are those
/// of other languages that English has too ("come", "pour", "van"), so that they speak for neither.
#[rustfmt::skip]
const LANGUAGES: &[(Lang, &str, &str)] = &[
    (Lang::Eng, "",
     "the a of and to in is it that for on with as are was this be have not by you we i from at your do my \
      where what how please no can will if there an or me he she they his her so but all out up one who which \
      when its has had were been thank thanks hello yes die come per con son pour plus van met den till war \
      hat man also over under door men ten most des tu ne sur si se"),
    (Lang::Deu, "äöüß",
     "der die das und ist nicht ein eine einen ich sie es zu zum den mit von auf für im in dem wir wie was \
      bitte hier kein keine ihr sich auch nach wird sind hat mein meine wo dich du er bei aus oder aber ja \
      nein danke"),
    (Lang::Fra, "àâæçéèêëîïôœùûüÿ",
     "le la les l d de des un une et est pas que qui dans pour sur je vous nous il elle ne ce cette au aux du \
      avec son sa se mon ma votre vos où quel quelle en y à par plus mais ou oui non merci"),
    (Lang::Spa, "áéíñóúü",
     "el la los las de del un una y es que en no por para con se su sus mi lo al está dónde qué cómo aquí más \
      te como usted este esta o pero sí gracias"),
    (Lang::Ita, "àèéìíîòóùú",
     "il lo la gli le l di un una e è che in per con non si mi ti del della dei al alla da dal questo questa \
      sono come dove qui più ho suo sua ci ma o sì grazie"),
    (Lang::Por, "àáâãçéêíóôõúü",
     "o a os as de um uma e é que em não por para com se do da dos das no na seu sua meu minha você onde como \
      aqui mais está eu ou mas sim obrigado"),
    (Lang::Nld, "áèéëíïóöúüĳ",
     "de het een en is niet van in op voor met dat je ik u uw zijn te aan wat waar hoe hier naar er dit deze \
      wij geen mijn bij ook of maar ja nee om"),
    (Lang::Swe, "åäöé",
     "och att det en ett är i på inte för med som av den jag du vi var vad här din ditt min har till om kan nu \
      de eller men ja nej tack"),
    (Lang::Dan, "åæøé",
     "og at det en et er i på ikke for med som af den jeg du vi hvor hvad her din dit min har til om kan nu de \
      eller men ja nej tak"),
    (Lang::Nob, "åæøéèêóòôü",
     "og at det en et er i på ikke for med som av den jeg du vi hvor hva her din ditt min har til om kan nå de \
      eller men ja nei takk"),
    (Lang::Fin, "äöåšž",
     "ja on ei se että en minä sinä mutta tämä oli kun niin mitä missä tässä ovat kuin jos tai kyllä kiitos"),
    (Lang::Pol, "ąćęłńóśźż",
     "i w nie na się jest to z że czy jak co gdzie tutaj proszę o po od dla mój moja ten ta za są tego tylko \
      być swoje do lub ale tak dziękuję"),
    (Lang::Ces, "áčďéěíňóřšťúůýž",
     "a v na se je to že s z do ne jak co kde zde prosím o po pro můj moje ten ta jsou nebo si tento toto byl \
      své ale ano děkuji"),
    (Lang::Slk, "áäčďéíĺľňóôŕšťúýž",
     "a v na sa je to že s z do nie ako čo kde tu prosím o po pre môj ten tá sú alebo si tento toto bol ale \
      áno ďakujem"),
    (Lang::Slv, "čšž",
     "in v na se je to da s z za ne kako kaj kje tukaj prosim o po moj ta so ali bil ampak od hvala"),
    (Lang::Hrv, "čćđšž",
     "i u na se je to da s za ne kako što gdje ovdje molim o po moj taj su ili bio ali od nije hvala"),
    (Lang::Hun, "áéíóöőúüű",
     "a az és nem hogy egy is van ez ezt meg de mi hol itt kérem ki csak vagy már el még igen köszönöm"),
    (Lang::Ron, "ăâîșțşţ",
     "și în nu la de un o cu pe este ce unde aici vă rog să din pentru care mai sunt sau dar cum al da \
      mulțumesc"),
    (Lang::Tur, "çğıöşüâîû",
     "ve bir bu için ne mi mı değil ile da de çok nasıl nerede burada lütfen evet hayır ben sen var yok o ama \
      gibi daha şu"),
    (Lang::Ind, "",
     "yang dan di ini itu dengan untuk tidak dari dalam akan pada ada ke saya anda apa mana bisa atau sudah ya \
      terima kasih"),
    (Lang::Cat, "àçéèíïóòúü",
     "el la els les de un una i és que en no per amb es seu meu on què com aquí més al del però o sí gràcies"),
    (Lang::Rus, "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
     "и в не на что это с я по он как к у но за из от где здесь вы мы его для был этот эта пожалуйста да нет \
      спасибо"),
    (Lang::Ukr, "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",
     "і в не на що це з я по він як до у але за із де тут ви ми його для був цей ця та будь так ні дякую"),
];

/// How much speaks for a language in a text: words of its list, less one if it lacks a letter of the text. 0 for a
/// language that is not in the table.
pub fn evidence(language: Lang, text: &str) -> i32 {
    let Some((_, letters, words)) = LANGUAGES.iter().find(|(known, ..)| *known == language) else { return 0 };
    let text = text.to_lowercase();
    let lacks = |c: char| c.is_alphabetic() && !c.is_ascii() && !letters.contains(c);
    let of_text = text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    let found = of_text.filter(|word| words.split(' ').any(|known| known == *word)).count();
    i32::try_from(found).unwrap_or(i32::MAX) - i32::from(text.chars().any(lacks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_letters_speak_for_a_language() {
        for (text, language, other) in [
            ("Wo ist die Datei?", Lang::Deu, Lang::Eng),
            ("Öffnen", Lang::Deu, Lang::Eng),
            ("Cerrar la ventana", Lang::Spa, Lang::Eng),
            ("Where is it?", Lang::Eng, Lang::Nld),
            ("Zavřít toto okno", Lang::Ces, Lang::Pol),
            ("Привіт", Lang::Ukr, Lang::Rus),
            ("Где это?", Lang::Rus, Lang::Ukr),
        ] {
            assert!(evidence(language, text) > evidence(other, text), "{text}");
        }
        assert_eq!((evidence(Lang::Eng, "Come on"), evidence(Lang::Ita, "Come on")), (2, 1));
        assert_eq!((evidence(Lang::Eng, "12 %"), evidence(Lang::Zul, "Öffnen the")), (0, 0));
    }

    #[test]
    fn words_of_the_table_have_the_letters_of_their_language() {
        for (language, letters, words) in LANGUAGES {
            for c in words.chars().filter(|c| !c.is_ascii()) {
                assert!(letters.contains(c), "{language}: {c}");
            }
            let mut each: Vec<&str> = words.split(' ').collect();
            each.sort_unstable();
            let count = each.len();
            each.dedup();
            assert!(each.len() == count && !each.contains(&""), "{language} has a word twice");
        }
    }
}
