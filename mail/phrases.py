"""What mail programs write above a quote, below a reply and into a forward, in many languages.

Every alternative is plain text or bounded, so that the patterns take linear time.
"""

from __future__ import annotations

import re


def _any(text: str) -> str:
    return "|".join(part.strip() for part in text.strip().split("\n") if part.strip())


WROTE = _any(
    r"""
    wrote|writes|said|schrieb|schreibt|a écrit|a ecrit|écrivait|écrit|escribió|escribio|escribiu
    va escriure
    ha scritto|scrisse|scrive|schreef|heeft (?:het volgende )?geschreven|escreveu|escreveram|skrev
    skreiv
    napisał(?:\(a\)|a)?|pisze|kirjoitti|написал(?:\(а\)|а)?|пишет|писал\(а\)|написав(?:\(ла\)|ла)?
    пише|напісаў
    írta|ezt írta|napsal(?:\(a\)|a)?|napísal(?:\(a\)|a)?|a scris|yazdı|şunu yazdı|şunları yazdı
    έγραψε|napisao je
    je napisal(?:\/-?a|a)?|je napisao(?:\/la)?|rašė|rakstīja|kirjutas|написа|menulis|đã viết
    เขียนว่า|写道|寫道
    さんは書きました|のメール|님이 작성|작성|כתב(?:\/ה|ה)?|كتب|نوشت|skribis|skrifaði|idatzi du
    """
)
STARTS = _any(
    r"""
    on|am|le|el|il|op|em|den|dne|dňa|dnia|w dniu|w|в|в(?:о)? |a|à|på|pe|kl|la|lé|data|in data
    il giorno
    a las|at|at the|as|às|no dia|das|der|die|vào|pada|tarihinde|στις|quoting|citando|date|em|у
    on date
    """
)
WEEKDAYS_MONTHS = _any(
    r"""
    mon|tue|wed|thu|fri|sat|sun|mo|di|mi|do|fr|sa|so|lun|mar|mer|mié|mie|jeu|jue|ven|vie|sam|sáb
    sab|dim|dom|gio|maa|din|woe
    don|vri|zat|zon|seg|ter|qua|qui|sex|mån|tis|ons|tor|fre|lör|sön|man|tir|lør|søn|pon|wt|wto|śr
    sro|czw|pt|pią|sob|nie|niedz
    ma|ti|ke|to|pe|la|su|пн|вт|ср|чт|пт|сб|вс|нд|po|út|st|čt|pá|ne|hét|kedd|sze|csü|pén|szo|vas
    monday|tuesday|wednesday
    thursday|friday|saturday|sunday|jan|feb|fév|apr|abr|avr|may|mai|jun|jul|aug|sep|oct|okt|nov
    dec|dez|déc
    """
)
DIGITS_OR_NAME = r"[\"'“*<\[]?"

FROM = (
    r"from|von|de|da|van|od|från|fra|feladó|от|від|kimden|gönderen|lähettäjä|mittente|remitente"
    r"|expéditeur|odesílatel|odosielateľ|de la|από|发件人|寄件者|差出人|보낸 사람|מאת|من|prejemnik"
    r"|pošiljatelj|saatja|siuntėjas|nuo"
)
DATE = (
    r"sent|date|gesendet|datum|envoyé(?: le)?|date d'envoi|message du|enviado(?: el| em)?"
    r"|enviada(?: em)?|fecha|inviato"
    r"|data|verzonden|datum|skickat|sendt|dato|wysłano|wyslano|lähetetty|päivämäärä|отправлено"
    r"|дата|надіслано|elküldve|küldve"
    r"|dátum|odesláno|odoslané|trimis|gönderildi|gönderilme tarihi|tarih|στάλθηκε|ημερομηνία"
    r"|poslano|发送时间|发件时间|日期"
    r"|寄件日期|送信日時|日付|日時|보낸 날짜|날짜|fecha de envío|date de l'envoi|received"
)
TO = (
    r"to|an|à|a|para|aan|till|til|do|vastaanottaja|кому|címzett|komu|către|kime|alıcı|προς|za"
    r"|收件人|宛先|받는 사람"
    r"|destinatario|destinataire|destinatário|per|pour|per conto di"
)
CC = (
    r"cc|bcc|kopie|copie(?: à)?|copia|cópia|kopi|kopia|dw|kopio|копия|копія|másolatot kap|抄送|副本"
    r"|참조|con copia|kópia|cci"
)
SUBJECT = (
    r"subject|betreff|objet|asunto|oggetto|onderwerp|assunto|ämne|emne|temat|aihe|тема|tárgy"
    r"|předmět|predmet|subiect"
    r"|konu|θέμα|zadeva|主题|主旨|件名|제목|sujet|assumpte|betreft|efni|teema|tema"
)
OTHER = (
    r"reply-to|antwort an|importance|priority|priorität|wichtigkeit|attachments|anlagen"
    r"|resent-from|organization|répondre à|importance"
)
LABELS = {"from": FROM, "date": DATE, "to": TO, "cc": CC, "subject": SUBJECT, "other": OTHER}
ROLE = {
    label: role
    for role, words in LABELS.items()
    for label in re.sub(r"\(\?:([^)]*)\)\?", "", words).split("|")
} | {
    "envoyé le": "date",
    "enviado el": "date",
    "enviado em": "date",
    "enviada em": "date",
    "copie à": "cc",
}

ORIGINAL = _any(
    r"""
    original(?: e-?mail)? message|original message|original email|reply message
    forwarded (?:message|mail|by .{0,60})
    ursprüngliche (?:nachricht|mail)|originalnachricht|original-nachricht
    weitergeleitete nachricht|message d'origine
    message original|message transféré|message d’origine|courriel original|mensaje original
    mensaje reenviado
    messaggio originale|messaggio inoltrato|oorspronkelijk bericht|oorspronkelijke bericht
    doorgestuurd bericht
    mensagem original|mensagem encaminhada|ursprungligt meddelande|ursprungliga meddelandet
    vidarebefordrat meddelande
    originalmeddelande|oprindelig meddelelse|oprindelig besked|original meddelelse
    videresendt (?:besked|meddelelse)
    opprinnelig melding|videresendt melding|videresendt e-post|wiadomość oryginalna
    oryginalna wiadomość
    treść oryginalnej wiadomości|wiadomość przekazana|przekazana wiadomość|alkuperäinen viesti
    välitetty viesti
    исходное сообщение|пересылаемое сообщение|пересланное сообщение|оригинальное сообщение
    початкове повідомлення
    переслане повідомлення|eredeti üzenet|továbbított üzenet|původní zpráva|původní e-mail
    přeposlaná zpráva
    pôvodná správa|preposlaná správa|mesaj original|mesajul original|mesaj redirecționat
    orijinal mesaj|özgün ileti
    iletilen mesaj|αρχικό μήνυμα|προωθημένο μήνυμα|izvorna poruka|izvirno sporočilo
    原始邮件|原始郵件
    转发邮件
    轉寄郵件
    元のメッセージ|転送メッセージ|원본 메시지|전달된 메시지|הודעה מקורית|الرسالة الأصلية
    missatge original|reenviado
    """
)
ORIGINAL_LINE = re.compile(rf"[-_=*—–\s]{{2,80}}(?:{ORIGINAL})\s?:?[-_=*—–\s]{{0,80}}", re.I)
FORWARD_LINE = re.compile(
    r"(?:begin forwarded message|start of forwarded message"
    r"|anfang der weitergeleiteten (?:nachricht|e-mail)|début du message (?:transféré|réexpédié)"
    r"|inicio del mensaje reenviado|inizio messaggio inoltrato|begin doorgestuurd bericht"
    r"|início da mensagem (?:encaminhada|reencaminhada)"
    r"|vidarebefordrat brev|videresendt besked|start på videresendt besked"
    r"|początek przekazywanej wiadomości|начало переадресованного сообщения"
    r"|début du courriel transféré|original message processed by david.{0,3}"
    r"|weitergeleitet von .{0,80}|forwarded by .{0,80})\s?:?",
    re.I,
)
ABOVE_LINE = re.compile(
    r".{0,30}\b(?:type your reply above this line|reply above this line"
    r"|please type your reply above|write above this line"
    r"|antworten sie (?:bitte )?oberhalb dieser zeile|bitte antworten sie oberhalb"
    r"|oberhalb dieser (?:zeile|linie) antworten"
    r"|répondez au-dessus de cette ligne|répondre au-dessus de cette ligne"
    r"|escriba su respuesta (?:por )?encima de esta línea"
    r"|responda por encima de esta línea|rispondi sopra questa riga"
    r"|antwoord boven deze (?:regel|lijn))\b.{0,60}",
    re.I,
)

SENT_FROM = re.compile(
    r"\W{0,3}(?:sent (?:from|with|via|using|by) (?!the\b)|sent from|get outlook for"
    r"|download outlook|get bluemail|sent a magnificent"
    r"|gesendet (?:von|mit|aus|über)|von (?:meinem|mein|unterwegs) .{0,40}gesendet"
    r"|von .{1,30} gesendet$|diese nachricht wurde von .{3,60} gesendet"
    r"|outlook für (?:ios|android) (?:beziehen|herunterladen)|holen sie sich outlook"
    r"|laden sie outlook"
    r"|envoyé (?:de|depuis|à partir|avec|par|via)|télécharger outlook|obtenir outlook"
    r"|obtenez outlook|téléchargez outlook"
    r"|enviado (?:desde|do|de|a partir|con|com|pelo|por)|enviada (?:do|desde)|obtén outlook"
    r"|obtener outlook|obter o outlook|obtenha o outlook"
    r"|inviato (?:da|dal|con|tramite)|scarica outlook|ottieni outlook|da outlook per"
    r"|verzonden (?:vanaf|met|via|vanuit)|verstuurd (?:vanaf|met|via)|download outlook voor"
    r"|outlook voor (?:ios|android) downloaden"
    r"|skickat (?:från|med)|skickades från|hämta outlook|sendt (?:fra|med|via)|hent outlook"
    r"|få outlook|skaff outlook"
    r"|lähetetty|hanki outlook|wysłan[eoy] (?:z|za|przez)|wysłano (?:z|za)|pobierz (?:aplikację"
    r"|program) outlook"
    r"|отправлено (?:с|из|от)|скачать outlook|получить outlook|надіслано (?:з|із)|odesláno (?:z"
    r"|ze|pomocí)|odoslané (?:z|zo)|elküldve|iphone-?omról küldve"
    r"|trimis de (?:pe|la)|poslano (?:s|iz|z|sa)|εστάλη από|στάλθηκε από|.{2,40}(?:’dan|'dan"
    r"|’den|'den|dan|den) gönderildi"
    r"|.{2,30}から送信|从我的.{1,30}发送|從我的.{1,30}傳送|发自我的|發自我的"
    r"|나의 .{1,30}에서 보냄|נשלח מ)",
    re.I,
)

CLOSING = re.compile(
    r"(?:(?:with |my )?(?:many |very |warm(?:est)? |kind(?:est)? |best(?: of)? |warmly "
    r"|personal )?(?:regards|wishes|greetings)(?: from [^,.]{2,30})?"
    r"|(?:best|kind|warm|kindest) regards (?:and|&) [^,.]{2,30}|best|all the best|cheers"
    r"|sincerely(?: yours)?|yours (?:sincerely|faithfully|truly|respectfully)"
    r"|respectfully(?: yours)?|cordially|thanks (?:and|&) (?:kind |best )?regards"
    r"|thank you (?:and|&) (?:kind |best )?regards|rgds|kr|br"
    r"|(?:mit )?(?:den |vielen |ganz )?(?:freundlich(?:en|e|em)|herzlich(?:en|e|st)|best(?:en"
    r"|e)|lieb(?:en|e)|schön(?:en|e)|viele|sonnigen?)(?: und \w{2,15}en?)? (?:grüßen|grüssen"
    r"|grüße|grüsse|gruß|gruss|gruessen|gruesse|gruß)(?: (?:aus|von) [^,.]{2,30})?"
    r"|hochachtungsvoll|mfg|lg|vg|gruß|gruss|grüße|grüsse|beste grüße|viele grüße"
    r"|mit besten empfehlungen"
    r"|(?:bien |très )?(?:cordialement|amicalement|sincèrement|respectueusement)(?: vôtre)?"
    r"|salutations(?: distinguées)?|(?:sincères|meilleures|respectueuses) salutations"
    r"|bien à vous|cdlt|(?:bonne|belle) (?:journée|soirée)|(?:avec mes )?(?:meilleurs"
    r"|sincères) (?:salutations|sentiments)|veuillez agréer.{0,120}"
    r"|je vous prie d'agréer.{0,120}"
    r"|(?:un )?(?:cordial|cordiales|atento|afectuoso|muchos)?\s?(?:saludos?"
    r"|abrazos?)(?: cordial(?:es)?)?|atentamente|cordialmente|muy atentamente"
    r"|le saluda atentamente|reciba un cordial saludo"
    r"|(?:cordiali|distinti|cari|tanti|migliori) saluti|saluti|un saluto|cordialità"
    r"|buona giornata|buona serata"
    r"|(?:met )?(?:vriendelijke|hartelijke|beste|lieve|warme) (?:groeten|groet)"
    r"|hartelijke groeten|groeten|groetjes|hoogachtend|mvg|m\.?v\.?g\.?"
    r"|(?:com os )?(?:melhores|meus|muitos)?\s?(?:cumprimentos|abraços|abraço)|atenciosamente"
    r"|atentamente|cordialmente|att|saudações"
    r"|(?:med )?(?:vänlig|vänliga|bästa|hjärtliga|varma) (?:hälsning|hälsningar)|hälsningar|mvh"
    r"|(?:med )?(?:venlig|vennlig|bedste|beste|kærlig|hjertelig)e? hilsen(?:er)?|hilsen|vh|dbh"
    r"|de bedste hilsner"
    r"|(?:z|łączę) (?:poważaniem|powazaniem|wyrazami szacunku)|pozdrawiam|z pozdrowieniami"
    r"|(?:serdecznie )?pozdrawiam(?: serdecznie)?|serdeczne pozdrowienia"
    r"|(?:ystävällisin|parhain|terveisin|lämpimin) ?(?:terveisin|terveisiin)?|terveisin"
    r"|s pozdravem|s přátelským pozdravem|hezký den|s pozdravom|üdvözlettel|tisztelettel"
    r"|с уважением|с наилучшими пожеланиями|з повагою|cu stimă|cu respect|cu drag|saygılarımla"
    r"|saygılarımızla|iyi çalışmalar|με εκτίμηση|φιλικά|lep pozdrav|s poštovanjem"
    r"|srdačan pozdrav"
    r"|此致|敬具|よろしくお願いいたします|以上、よろしくお願いいたします|감사합니다"
    r"|parimate soovidega|pagarbiai|ar cieņu)"
    r"[\s,.!;–—-]{0,4}",
    re.I,
)
THANKS = re.compile(
    r"(?:(?:many |kind )?thanks|thank you|thx|thanks in advance|(?:vielen |besten "
    r"|herzlichen )?dank|danke|(?:vielen )?dank im voraus|merci(?: d['’]avance)?"
    r"|(?:muchas )?gracias|grazie(?: mille)?|(?:hartelijk |alvast )?bedankt|obrigad[oa]"
    r"|tack(?: på förhand)?|(?:mange )?tak|takk|kiitos|dziękuję|спасибо)\s?,",
    re.I,
)
POSTSCRIPT = re.compile(r"(?:p\.?\s?){1,3}s\.?\s?[:.]|ps\s", re.I)
LIST_FOOTER = re.compile(r"(?:_{20,}|_{2,4})\s*")
NOTICE = re.compile(
    r"(?:disclaimer|confidentiality notice|confidentiality|legal notice|(?:this"
    r"|the information (?:contained )?in this) (?:e-?mail|message"
    r"|communication).{0,60}\bconfidential"
    r"|diese (?:e-?mail|nachricht) enthält vertrauliche|ce (?:message|courriel"
    r"|mail).{0,60}confidentiel|este (?:mensaje|correo).{0,60}confidencial"
    r"|le informazioni contenute in questo messaggio|dit bericht is vertrouwelijk"
    r"|this email has been scanned|virus-?free\.)",
    re.I,
)

MAILER = re.compile(
    r"\b(?:mailer[-_ .]?daemon|mdaemon|post_?master|mail delivery (?:sub)?system"
    r"|system administrator"
    r"|mail[-_ ](?:admin|administrator|service|robot|server|gateway|router))\b",
    re.I,
)
UNDELIVERED = re.compile(
    r"undeliver|delivery (?:status|has failed|failed|failure|problem|notification|report|error"
    r"|delayed|incomplete)"
    r"|(?:mail|message) delivery (?:failed|failure|problem|system)|returned (?:mail|to sender)"
    r"|return(?:ed)? mail"
    r"|failure notice|failed delivery|non.?deliver|not delivered|(?:could|can)(?:no"
    r"|')t be delivered|mail (?:system )?error|rejected mail|mail rejected"
    r"|warning: (?:message|could not send)|delayed mail|user unknown|mail (?:not"
    r"|nicht) (?:zugestellt|deliverable)"
    r"|unzustellbar|nicht zugestellt|zustellung(?:s| fehlg)|échec de (?:la )?(?:remise"
    r"|distribution)|non remis|avis de non.remise"
    r"|no se (?:ha podido|pudo) entregar|no entregado|devuelto|mancata consegna"
    r"|impossibile recapitare|niet (?:af)?gelev|onbestelbaar"
    r"|não (?:foi )?entregue|falha na entrega|niedostarcz|zwrot|недостав|не доставлено|возвращ"
    r"|配信不能|エラーメール|エラー通知|退信",
    re.I,
)
AUTO_SUBJECT = re.compile(
    r"(?:re: |aw: )?\W{0,2}(?:complaint about message from \d"
    r"|auto(?:matic|mated)?[- ]?(?:reply|response|answer|replied"
    r"|responder)|automatic reply|out[- ]of[- ](?:the[- ])?office|ooo\b|i am out of"
    r"|vacation(?: reply| response| message|:)|away from (?:my|the)|on (?:vacation|holiday"
    r"|annual leave)\b|abwesenheit|automatische (?:antwort|abwesenheit)|abwesend"
    r"|nicht im (?:büro|haus)"
    r"|réponse automatique|absence du bureau|absent du bureau|message d'absence"
    r"|respuesta automática|fuera de (?:la )?oficina"
    r"|risposta automatica|fuori ufficio|assenza|automatisch antwoord|afwezig|niet aanwezig"
    r"|autosvar|frånvaro|frånvarande|fraværsmelding|automatisk (?:svar|besvarelse)"
    r"|fravær|resposta automática|ausência|fora do escritório|odpowiedź automatyczna"
    r"|autoodpowied|nieobecn|automaattinen vastaus|poissaolo|автоответ|автоматический ответ"
    r"|automatická odpověď|automatikus válasz|răspuns automat|otomatik yanıt|自动回复"
    r"|自動回覆|自動返信|不在)",
    re.I,
)
