"""Language detection of 1 to 5 words: whatlang, lingua and whichlang on phrases of programs in 15 languages.

    pip install lingua-language-detector whichlang-py
    cargo build --release -p strata-mt-corpus --example identify
    python bench/detection.py target/release/examples/identify

Prints, for each number of words, how many phrases each program assigns to their language, among these 15 languages
where the program can be told so. `strata` is what `strata serve` does: below 16 letters or a confidence of 0.9 frequent
words and letters decide, and where they do not, a text in Latin script is taken for English, as models out of English
have most text of it. The last line is the harm that does: phrases of other languages that are taken for English.
"""

import subprocess
import sys

PHRASES = {
    "en": "Hello|Yes|Open it.|Save file|Close the window|Click here now|Please enter your name|The file was not found|Do you want to continue?",
    "de": "Hallo|Ja|Öffnen|Datei speichern|Fenster bitte schließen|Hier jetzt klicken|Bitte geben Sie ein|Die Datei wurde nicht gefunden|Möchten Sie jetzt wirklich fortfahren?",
    "fr": "Bonjour|Oui|Ouvrir|Enregistrer fichier|Fermer la fenêtre|Cliquez ici maintenant|Veuillez saisir votre nom|Le fichier est introuvable ici|Voulez-vous vraiment continuer cette opération?",
    "es": "Hola|Sí|Abrir|Guardar archivo|Cerrar la ventana|Haga clic aquí|Introduzca su nombre aquí|No se encontró el archivo|¿Desea usted continuar ahora mismo?",
    "it": "Ciao|Sì|Apri|Salva file|Chiudi la finestra|Fare clic qui|Inserire il proprio nome|Il file non è stato|Vuoi davvero continuare questa operazione?",
    "pt": "Olá|Sim|Abrir|Salvar arquivo|Fechar a janela|Clique aqui agora|Digite o seu nome|O arquivo não foi encontrado|Deseja continuar com esta operação?",
    "nl": "Hallo|Ja|Openen|Bestand opslaan|Sluit het venster|Klik nu hier|Voer uw naam in|Het bestand is niet gevonden|Wilt u nu echt doorgaan?",
    "sv": "Hej|Ja|Öppna|Spara filen|Stäng det fönstret|Klicka här nu|Ange ditt namn här|Filen kunde inte hittas nu|Vill du verkligen fortsätta nu?",
    "pl": "Cześć|Tak|Otwórz|Zapisz plik|Zamknij to okno|Kliknij tutaj teraz|Proszę podać swoje imię|Nie można znaleźć tego pliku|Czy na pewno chcesz kontynuować?",
    "cs": "Ahoj|Ano|Otevřít|Uložit soubor|Zavřít toto okno|Klikněte zde nyní|Zadejte prosím své jméno|Soubor nebyl na disku nalezen|Opravdu chcete v tom pokračovat?",
    "tr": "Merhaba|Evet|Aç|Dosyayı kaydet|Bu pencereyi kapat|Şimdi buraya tıklayın|Lütfen adınızı buraya girin|Dosya bu klasörde bulunamadı maalesef|Devam etmek istiyor musunuz gerçekten?",
    "ru": "Привет|Да|Открыть|Сохранить файл|Закрыть это окно|Нажмите здесь сейчас|Введите ваше имя здесь|Этот файл не был найден|Вы действительно хотите продолжить сейчас?",
    "uk": "Привіт|Так|Відкрити|Зберегти файл|Закрити це вікно|Натисніть тут зараз|Введіть своє ім'я тут|Цей файл не було знайдено|Ви справді хочете продовжити зараз?",
    "ja": "こんにちは|はい|開く|ファイルを保存|ウィンドウを閉じる|ここをクリック|名前を入力してください|ファイルが見つかりません|続行してもよろしいですか",
    "zh": "你好|是|打开|保存文件|关闭窗口|点击这里|请输入您的姓名|找不到该文件|您要继续吗",
}
WORDS = [1, 1, 1, 2, 3, 3, 4, 5, 5]
THREE = dict(en="eng", de="deu", fr="fra", es="spa", it="ita", pt="por", nl="nld", sv="swe", pl="pol", cs="ces", tr="tur", ru="rus", uk="ukr", ja="jpn", zh="cmn")
TWO = {three: two for two, three in THREE.items()} | {"zho": "zh"}


def identified():
    """For each phrase what strata's identifier says: by trigrams alone, and with English as the usual language."""
    lines = [text for texts in PHRASES.values() for text in texts.split("|")]
    done = subprocess.run([sys.argv[1], *PHRASES], input="\n".join(lines), capture_output=True, text=True, check=True)
    return dict(zip(lines, (line.split("\t") for line in done.stdout.splitlines())))


def main():
    found = identified()
    usual = lambda text: found[text][2]
    programs = {"whatlang": lambda text: found[text][0], "strata": usual}
    from lingua import IsoCode639_1, LanguageDetectorBuilder

    codes = [getattr(IsoCode639_1, tag.upper()) for tag in PHRASES]
    detector = LanguageDetectorBuilder.from_iso_codes_639_1(*codes).build()
    programs["lingua"] = lambda text: (lambda l: l and l.iso_code_639_1.name.lower())(detector.detect_language_of(text))
    try:
        import whichlang_py

        programs["whichlang"] = lambda text: TWO.get(whichlang_py.detect_language(text), None)
    except (ImportError, AttributeError) as error:
        print("whichlang:", error)
    print("words   phrases  " + "  ".join(programs))
    english = 0
    for count in sorted(set(WORDS)):
        cases = [(tag, text) for tag, all in PHRASES.items() for words, text in zip(WORDS, all.split("|")) if words == count]
        rights = [sum(program(text) == tag for tag, text in cases) for program in programs.values()]
        english += sum(usual(text) == "en" for tag, text in cases if tag != "en")
        print(f"{count:5} {len(cases):9}  " + "  ".join(f"{right:{len(name)}}" for right, name in zip(rights, programs)))
    for tag in ["en"]:
        cases = PHRASES[tag].split("|")
        print("English ", len(cases), {name: sum(program(text) == tag for text in cases) for name, program in programs.items()})
    print("other languages taken for English by `strata`:", english)


main()
