//! The names of languages: BCP 47 (`de`, `zh-TW`), FLORES (`deu_Latn`), ISO 639-3 (`deu`), and codes of old (`iw`,
//! `in`) find each other. A language in another script is another language here: who asks for `zh-TW` reads traditional
//! characters, and is told that there are none rather than given simplified ones.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Codes for the same language under other names, and the code used here: the shortest that BCP 47 has. Individual
/// languages stand for the macro-language that models mean by it (`arb` for `ar`). `LANG:Scrp` and `LANG:RG` name a
/// script or region besides.
#[rustfmt::skip]
const NAMES: &str = "
    aar=aa abk=ab afr=af aka=ak amh=am ara=ar arb=ar arg=an asm=as ava=av ayr=ay aym=ay azj=az aze=az bak=ba bam=bm bel=be
    ben=bn bod=bo bos=bs bre=br bul=bg cat=ca ceb=ceb ces=cs cze=cs cha=ch che=ce chv=cv cmn=zh zho=zh chi=zh cor=kw
    cos=co cre=cr cym=cy wel=cy dan=da deu=de ger=de div=dv dzo=dz ell=el gre=el eng=en epo=eo est=et ekk=et eus=eu baq=eu
    ewe=ee fao=fo fas=fa pes=fa per=fa fij=fj fil=tl fin=fi fra=fr fre=fr fry=fy ful=ff fuv=ff gaz=om orm=om gla=gd gle=ga
    glg=gl grn=gn gug=gn guj=gu hat=ht hau=ha heb=he iw=he hin=hi hrv=hr hun=hu hye=hy arm=hy ibo=ig ido=io ind=id in=id
    ipk=ik isl=is ice=is ita=it jav=jv jw=jv jpn=ja kal=kl kan=kn kas=ks kat=ka geo=ka kaz=kk khk=mn mon=mn khm=km kik=ki
    kin=rw kir=ky kmr=ku kur=ku knc=kr kau=kr kon=kg kor=ko lao=lo lat=la lav=lv lvs=lv lim=li lin=ln lit=lt ltz=lb lug=lg
    mal=ml mar=mr mkd=mk mac=mk mlg=mg plt=mg mlt=mt mri=mi mao=mi msa=ms zsm=ms may=ms mya=my bur=my nav=nv nep=ne npi=ne
    nld=nl dut=nl nno=nn nob=no nb=no nor=no nya=ny oci=oc ori=or ory=or oss=os pan=pa pol=pl por=pt pus=ps pbt=ps que=qu
    quy=qu roh=rm ron=ro rum=ro mo=ro mol=ro run=rn rus=ru sag=sg san=sa sin=si slk=sk slo=sk slv=sl sme=se smo=sm sna=sn
    snd=sd som=so sot=st spa=es sqi=sq als=sq alb=sq srd=sc srp=sr ssw=ss sun=su swa=sw swh=sw swe=sv tah=ty tam=ta tat=tt
    tel=te tgk=tg tgl=tl tha=th tir=ti ton=to tsn=tn tso=ts tuk=tk tur=tr twi=tw uig=ug ukr=uk urd=ur uzb=uz uzn=uz ven=ve
    vie=vi wol=wo xho=xh ydd=yi yid=yi ji=yi yor=yo zha=za zul=zu
    zt=zh:Hant pb=pt:BR sh=sr:Latn yue=yue:Hant nor=no azb=az:Arab
    ";

/// The script of languages that are written in more than one, where a code does not say it. The others are compared
/// without: whatever `de` is written in, `deu_Latn` is the same.
#[rustfmt::skip]
const SCRIPTS: &str = "
    ace=Latn ar=Arab az=Latn bjn=Latn bs=Latn kas=Arab ks=Arab kk=Cyrl kr=Latn ku=Latn min=Latn mn=Cyrl ms=Latn pa=Guru
    sr=Cyrl taq=Latn tg=Cyrl ug=Arab uz=Latn yue=Hant zh=Hans sd=Arab ha=Latn
    ";

/// Regions that write a language in another script than the usual one.
const REGIONS: [(&str, &str, &str); 7] = [
    ("zh", "CN", "Hans"),
    ("zh", "SG", "Hans"),
    ("zh", "TW", "Hant"),
    ("zh", "HK", "Hant"),
    ("zh", "MO", "Hant"),
    ("pa", "PK", "Arab"),
    ("mn", "CN", "Mong"),
];

/// Codes that were replaced, and codes that other programs use.
const OF_OTHER_PROGRAMS: [&str; 13] =
    ["fil", "in", "iw", "ji", "jw", "mo", "no", "nor", "pb", "sh", "zh-Hans", "zh-Hant", "zt"];

static CODES: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| pairs(NAMES));
static SCRIPT: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| pairs(SCRIPTS));

fn pairs(table: &'static str) -> HashMap<&'static str, &'static str> {
    table.split_whitespace().filter_map(|pair| pair.split_once('=')).collect()
}

/// Whether a tag begins with a code of two letters, or with one of more that stands for such a code.
pub fn is_common(tag: &str) -> bool {
    let code = tag.split(['-', '_']).next().unwrap_or("").to_ascii_lowercase();
    code.len() == 2 || CODES.contains_key(code.as_str())
}

/// What a code says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Code {
    /// The shortest code of the language.
    language: String,
    /// `Latn`, where the code, its region or the language says it.
    script: Option<String>,
    /// Whether the code says the script or a region that decides it.
    script_is_said: bool,
    /// `BR`
    region: Option<String>,
}

impl Code {
    fn parse(text: &str) -> Code {
        let mut parts = text.split(['-', '_', '.', '@']);
        let first = parts.next().unwrap_or("").to_ascii_lowercase();
        let (name, more) = match CODES.get(first.as_str()) {
            Some(known) => known.split_once(':').map_or((*known, None), |(name, more)| (name, Some(more))),
            None => (first.as_str(), None),
        };
        let (mut script, mut region) = (None, None);
        for part in more.into_iter().chain(parts) {
            let letters = part.chars().all(|c| c.is_ascii_alphabetic());
            match part.len() {
                4 if letters && script.is_none() => script = Some(capitalized(part)),
                2 if letters && region.is_none() => region = Some(part.to_ascii_uppercase()),
                3 if part.chars().all(|c| c.is_ascii_digit()) => region = Some(part.to_owned()),
                _ => {}
            }
        }
        let language = name.to_owned();
        let of_region = || {
            let known = |(of, in_region, _): &&(_, _, _)| *of == language && Some(*in_region) == region.as_deref();
            REGIONS.iter().find(known).map(|(_, _, script)| (*script).to_owned())
        };
        let said = script.or_else(of_region);
        let script_is_said = said.is_some();
        let script = said.or_else(|| SCRIPT.get(language.as_str()).map(|script| (*script).to_owned()));
        Code { language, script, script_is_said, region }
    }

    /// How well a code that a user said fits one that there is, less is better; none for another language or script.
    fn distance(&self, there: &Code) -> Option<u32> {
        if self.language != there.language {
            return None;
        }
        let other_script = matches!((&self.script, &there.script), (Some(said), Some(there)) if said != there);
        if other_script && (self.script_is_said || !there.script_is_said) {
            return None;
        }
        let region = match (&self.region, &there.region) {
            (said, there) if said == there => 0,
            (_, None) => 1,
            _ => 2,
        };
        // `zh` for a model that has traditional characters only: better than nothing, and it was not ruled out.
        Some(region + if other_script { 4 } else { 0 })
    }
}

fn capitalized(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    lower[..1].to_ascii_uppercase() + &lower[1..]
}

/// Which of the codes `known` means the language that `said` does: the same text, else the same but for case and `_`
/// for `-`, else another name of the same language in the same script, of the same region where there is a choice.
///
/// ```
/// use strata_corpus::codes::find;
///
/// let flores = ["deu_Latn", "zho_Hans", "heb_Hebr"];
/// assert_eq!(find("de-AT", flores), Some("deu_Latn"));
/// assert_eq!(find("iw", flores), Some("heb_Hebr"));
/// assert_eq!(find("zh-TW", flores), None);
/// ```
pub fn find<'a>(said: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let same = |code: &str| code.replace('_', "-").eq_ignore_ascii_case(&said.replace('_', "-"));
    let codes = || known.clone().into_iter();
    codes().find(|code| *code == said).or_else(|| codes().find(|code| same(code))).or_else(|| {
        let wanted = Code::parse(said);
        let near = codes().filter_map(|code| Some((wanted.distance(&Code::parse(code))?, code)));
        near.min_by_key(|(distance, _)| *distance).map(|(_, code)| code)
    })
}

/// Whether two codes name one language, in one script and of one region: `de` and `deu_Latn`, not `pt` and `pt-BR`.
pub fn same(one: &str, other: &str) -> bool {
    one == other || Code::parse(one).distance(&Code::parse(other)) == Some(0)
}

/// Other codes that mean all of what `code` says, or less: `iw` for `he`, `zt` for `zh_TW`. For programs that know only
/// those.
pub fn aliases(code: &str) -> Vec<String> {
    let own = Code::parse(code);
    let means = |said: &str| {
        let said = Code::parse(said);
        let other_script = matches!((&said.script, &own.script), (Some(said), Some(own)) if said != own);
        said.language == own.language && !other_script && (said.region.is_none() || said.region == own.region)
    };
    let candidates = OF_OTHER_PROGRAMS.into_iter().chain([own.language.as_str()]);
    let mut found: Vec<String> = candidates.filter(|said| *said != code && means(said)).map(str::to_owned).collect();
    found.sort();
    found.dedup();
    found
}

/// The shortest code of the language that a code means: `de` for `deu_Latn`.
pub fn shortest(code: &str) -> String {
    Code::parse(code).language
}

/// The language tag (BCP 47) that documents say a code's language by: `de` for `deu_Latn`, `pt-BR` for `pt_BR`,
/// `zh-Hant` for `zho_Hant`. The script is left out of a language that is written in one.
pub fn language_tag(code: &str) -> String {
    let Code { language, script, script_is_said, region } = Code::parse(code);
    let script = script.filter(|_| script_is_said && region.is_none() && SCRIPT.contains_key(language.as_str()));
    [Some(language), script, region].into_iter().flatten().collect::<Vec<String>>().join("-")
}

/// How a script is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// From left to right, letter by letter.
    Western,
    /// Chinese, Japanese, Korean.
    EastAsian,
    /// From left to right, with letters that join or stand above each other: those of India and its neighbors.
    Complex,
    /// From right to left.
    RightToLeft,
}

/// Languages that are not written in Western scripts, beside those whose script the code or [`SCRIPTS`] says.
const EAST_ASIAN: [&str; 2] = ["ja", "ko"];
#[rustfmt::skip]
const COMPLEX: [&str; 28] = [
    "as", "awa", "bho", "bn", "bo", "dz", "gu", "hi", "hne", "km", "kn", "lo", "mag", "mai", "ml", "mni", "mr", "my", "ne",
    "new", "or", "sa", "sat", "shn", "si", "ta", "te", "th",
];
#[rustfmt::skip]
const RIGHT_TO_LEFT: [&str; 25] = [
    "acm", "acq", "aeb", "ajp", "apc", "ars", "ary", "arz", "bal", "ckb", "dv", "fa", "glk", "he", "lrc", "mzn", "nqo",
    "pnb", "prs", "ps", "skr", "syr", "trg", "ur", "yi",
];
#[rustfmt::skip]
const COMPLEX_SCRIPTS: [&str; 17] = [
    "Beng", "Deva", "Gujr", "Guru", "Khmr", "Knda", "Laoo", "Mlym", "Mtei", "Mymr", "Olck", "Orya", "Sinh", "Taml", "Telu",
    "Thai", "Tibt",
];

/// How text in the language that a code means is set.
pub fn script(code: &str) -> Script {
    let Code { language, script, .. } = Code::parse(code);
    match (script.as_deref(), language.as_str()) {
        (Some("Adlm" | "Arab" | "Hebr" | "Nkoo" | "Syrc" | "Thaa"), _) => Script::RightToLeft,
        (Some("Hans" | "Hant" | "Hang" | "Jpan" | "Kore"), _) => Script::EastAsian,
        (Some(script), _) if COMPLEX_SCRIPTS.contains(&script) => Script::Complex,
        (Some(_), _) => Script::Western,
        (None, language) if RIGHT_TO_LEFT.contains(&language) => Script::RightToLeft,
        (None, language) if EAST_ASIAN.contains(&language) => Script::EastAsian,
        (None, language) if COMPLEX.contains(&language) => Script::Complex,
        (None, _) => Script::Western,
    }
}

/// Whether two codes name one language, of whatever region: `pt` and `pt-BR`, not `zh` and `zh-TW`.
pub fn related(one: &str, other: &str) -> bool {
    find(one, [other]).is_some() || find(other, [one]).is_some()
}

/// Whether a code means English, of no region: `en`, `eng_Latn`, not `en-GB`.
pub fn is_english(code: &str) -> bool {
    same("en", code)
}

/// So many codes are listed in full.
const ALL_LISTED: usize = 60;
/// Of more, the first so many.
const FIRST_LISTED: usize = 12;

/// The codes for a message: `de, en, fr`; of very many the first, and how many there are.
pub fn listed<S: AsRef<str>>(codes: &[S]) -> String {
    let joined = |codes: &[S]| codes.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(", ");
    match codes.get(..FIRST_LISTED) {
        Some(first) if codes.len() > ALL_LISTED => format!("{}, ... ({})", joined(first), codes.len()),
        _ => joined(codes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_language_has_several_codes() {
        for (one, other, expected) in [
            ("de", "deu_Latn", true),
            ("deu_Latn", "de", true),
            ("iw", "he", true),
            ("zh", "zho_Hans", true),
            ("zh", "zh-TW", false),
            ("pt", "pt-BR", false),
            ("sr", "sr_Latn", false),
            ("de", "nl", false),
            ("qaa", "qaa", true),
        ] {
            assert_eq!(same(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn documents_say_languages_by_their_tags() {
        for (code, tag) in [
            ("deu_Latn", "de"),
            ("de", "de"),
            ("pt_BR", "pt-BR"),
            ("pb", "pt-BR"),
            ("zho_Hant", "zh-Hant"),
            ("zh_CN", "zh-CN"),
            ("zt", "zh-Hant"),
            ("zh", "zh"),
            ("sr_Latn", "sr-Latn"),
            ("qaa", "qaa"),
        ] {
            assert_eq!(language_tag(code), tag, "{code}");
        }
        assert!(related("pt", "pt-BR") && related("deu_Latn", "de-AT") && !related("de", "fr"));
        assert!(!related("zh-TW", "zh-CN"));
    }

    #[test]
    fn text_is_set_as_its_script_is() {
        for (codes, expected) in [
            (
                &["ar", "arb_Arab", "fa", "pes_Arab", "iw", "ur", "ks", "uzn_Arab", "pa_PK", "ydd_Hebr"][..],
                Script::RightToLeft,
            ),
            (&["kas_Deva", "pa", "hi", "tha_Thai", "bho"], Script::Complex),
            (&["zh-TW", "zh", "jpn_Jpan", "ko", "yue"], Script::EastAsian),
            (&["de", "uz", "az", "ku", "ell_Grek", "qaa", ""], Script::Western),
        ] {
            for code in codes {
                assert_eq!(script(code), expected, "{code}");
            }
        }
    }

    #[test]
    fn very_many_are_not_listed() {
        assert_eq!(listed(&["de", "en"]), "de, en");
        assert_eq!(listed::<&str>(&[]), "");
        assert_eq!(listed(&["x"; 60]).len(), 60 * 3 - 2);
        let many: Vec<String> = (100..302).map(|i| format!("q{i}")).collect();
        assert!(listed(&many).ends_with("q110, q111, ... (202)"), "{}", listed(&many));
    }

    #[test]
    fn every_style_finds_every_other() {
        let flores = ["arb_Arab", "deu_Latn", "heb_Hebr", "ind_Latn", "nob_Latn", "por_Latn", "zho_Hans", "zho_Hant"];
        for (said, expected) in [
            ("de", "deu_Latn"),
            ("deu", "deu_Latn"),
            ("DE-at", "deu_Latn"),
            ("iw", "heb_Hebr"),
            ("in", "ind_Latn"),
            ("no", "nob_Latn"),
            ("nb", "nob_Latn"),
            ("pb", "por_Latn"),
            ("ar", "arb_Arab"),
            ("zh", "zho_Hans"),
            ("zh-CN", "zho_Hans"),
            ("zh-TW", "zho_Hant"),
            ("zh_HK", "zho_Hant"),
            ("zt", "zho_Hant"),
            ("ZH-HANT", "zho_Hant"),
            ("zho_hant", "zho_Hant"),
        ] {
            assert_eq!(find(said, flores), Some(expected), "{said}");
        }
        let short = ["de", "he", "id", "no", "pt", "pt-BR", "zh"];
        for (said, expected) in
            [("deu_Latn", "de"), ("iw", "he"), ("nob_Latn", "no"), ("pb", "pt-BR"), ("pt-PT", "pt"), ("zho_Hans", "zh")]
        {
            assert_eq!(find(said, short), Some(expected), "{said}");
        }
    }

    #[test]
    fn the_nearest_of_several_is_found() {
        let tags = ["de", "en", "eng_Latn", "he", "id", "nb", "pt", "pt_BR", "zh_CN", "sr_Cyrl"];
        for (said, expected) in [
            ("DE-AT", "de"),
            ("en-US", "en"),
            ("eng", "en"),
            ("no", "nb"),
            ("PT-BR", "pt_BR"),
            ("pt-PT", "pt"),
            ("zh", "zh_CN"),
            ("ZH-HANS", "zh_CN"),
            ("zho_Hans", "zh_CN"),
        ] {
            assert_eq!(find(said, tags), Some(expected), "{said}");
        }
        for said in ["zh-TW", "zh-Hant", "ZH-HK", "zt", "sr-Latn", "sh", "fr", "", "-", "x"] {
            assert_eq!(find(said, tags), None, "{said}");
        }
        assert_eq!(find("zh", ["zh_TW", "zh_CN"]), Some("zh_CN"));
        assert_eq!(find("nb", ["no"]), Some("no"));
    }

    #[test]
    fn aliases_mean_what_the_code_says() {
        assert_eq!(aliases("he"), ["iw"]);
        assert_eq!(aliases("zh_TW"), ["zh-Hant", "zt"]);
        assert_eq!(aliases("zh"), ["zh-Hans"]);
        assert_eq!(aliases("pt-BR"), ["pb", "pt"]);
        assert!(aliases("de").is_empty() && aliases("pt").is_empty());
    }

    #[test]
    fn another_script_is_never_given() {
        for said in ["zh-TW", "zh_Hant", "zt", "zh-HK", "zho_Hant"] {
            for known in ["zh", "zh_CN", "zho_Hans", "zh-Hans"] {
                assert_eq!(find(said, [known]), None, "{said} {known}");
            }
        }
        assert_eq!(find("zh-CN", ["zh_TW"]), None);
        assert_eq!(find("sr-Latn", ["sr"]), None);
        assert_eq!(find("zh", ["zho_Hant"]), Some("zho_Hant")); // no script was asked for
        assert_eq!(find("ace_Arab", ["ace_Latn"]), None);
    }

    #[test]
    fn other_languages_are_not_found() {
        assert_eq!(find("fr", ["de", "en"]), None);
        assert_eq!(find("", ["de"]), None);
        assert_eq!(find("de", [""; 0]), None);
        assert_eq!(find("nn", ["nob_Latn"]), None);
        assert_eq!(find("x1", ["x1", "x2"]), Some("x1"));
        assert_eq!(shortest("kmr_Latn"), "ku");
        assert!(["en", "eng", "eng_Latn"].into_iter().all(is_english));
    }
}
