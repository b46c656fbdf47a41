"""What does a reply ask for, said in whatever words, and how sure is that?

A person may withdraw consent in any reasonable manner (47 CFR 64.1200(a)(10)), so "please stop texting me" counts as much
as STOP. Three certainties: EXACT is nothing but the word, as in `keywords`. CLEAR is what any reasonable person reads as
an order to stop. DOUBTFUL may be one: it is better obeyed until a person has looked.

It goes from left to right, once: the text is parted into clauses (at commas, full stops and the like), each clause into
words. Frequent misspellings are put right. Words that stand there in another sense ("bus stop", "cancel my 3pm") are
struck out. Noise ("please", "omg") is dropped. Then all rules look at what is left of the clause. The rules below are
written in the language of `patterns`, with four additions: `<name>` is a class of words, `^` and `$` are the beginning
and the end of the clause, and one line is one phrase. Every rule looks at every text; nobody's language is guessed.

START is never read from free words: texting somebody unasked is worse than not texting. Nor does YES lift a
suppression. HELP said freely is CLEAR when hardly anything else is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from . import keywords
from .keywords import Keyword
from .patterns import Phrases, Step, steps_of
from .words import words

LONGEST_TEXT = 1600
"""Characters that are read, after blanks at both ends. Ten segments hold no more."""

MOST_WORDS = 400
"""Words that are read: some single characters decompose into several."""


class Certainty(StrEnum):
    """How sure a reading is."""

    EXACT = "exact"  # nothing but the word
    CLEAR = "clear"  # any reasonable person reads it so
    DOUBTFUL = "doubtful"  # it may be meant so; for a person to decide


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reply asks for; no intent is an ordinary reply, whose certainty says nothing."""

    intent: Keyword | None
    certainty: Certainty


ORDINARY = Reading(None, Certainty.CLEAR)


def read(text: str) -> Reading:
    """What `text` asks for, in English, French, Spanish, German, Portuguese or Italian. Under 2 ms, whatever the text."""
    if exact := keywords.classify(text):
        return Reading(exact, Certainty.EXACT)
    found = {reading for clause in _clauses(text) for reading in _heard(clause)}
    return next((reading for reading in _BY_WEIGHT if reading in found), ORDINARY)


_BY_WEIGHT = (
    Reading(Keyword.STOP, Certainty.CLEAR),
    Reading(Keyword.STOP, Certainty.DOUBTFUL),
    Reading(Keyword.HELP, Certainty.CLEAR),
)
"""The heaviest that some clause says is what the text says."""


# -- From text to clauses ----------------------------------------------------------------------------------------------

_SIGNS = {
    "🛑": " stop ",
    "✋": " stop ",
    "⛔": " no ",
    "🚫": " no ",
    "❌": " no ",
    "🙅": " no ",
    "📵": " no texts ",
    "📱": " texts ",
    "💬": " texts ",
    "🖕": " fuckoff ",
    "#": " number ",
    "&": " and ",
}
"""Signs that people put in the place of words."""

_BREAK = re.compile(r"(?:[,;:()\n¡¿!?\"“”…]|[.\-–—](?=\s|$)|(?<=\s)[\-–—])+")
_END = "¶"
_ELISION = re.compile(r"\b(?:qu|[cdjlmnst]|[ds]?all|[dn]ell)['’](?=\w)", re.IGNORECASE)
"""French and Italian words that lose their vowel before the next: “n'écrivez”, “dall'elenco”."""

_SIGN_TABLE = str.maketrans(_SIGNS)
_STRETCHED = re.compile(r"([^\W\d_])\1{2,}")
_SPACED = re.compile(r"(?<!\S)[^\W\d_](?:[ .\-_*][^\W\d_]){2,}(?!\w)")
"""s t o p, S.T.O.P"""


def _clauses(text: str) -> Iterator[list[str]]:
    """The clauses of a text as words, misspellings put right."""
    text = text.strip()[:LONGEST_TEXT]
    text = _SPACED.sub(lambda spaced: "".join(filter(str.isalnum, spaced[0])), text)
    text = _ELISION.sub("", _STRETCHED.sub(r"\1", text.translate(_SIGN_TABLE)))
    spelled = words(_BREAK.sub(f" {_END} ", text), also=_END)[:MOST_WORDS]
    clause: list[str] = []
    for word in (*spelled, _END):
        if word != _END:
            clause.append(_RIGHT.get(word, word))
        elif clause:
            yield clause
            clause = []


def _heard(clause: list[str]) -> Iterator[Reading]:
    """What the rules hear in a clause."""
    left = _DROPPED_PHRASES.strike(_ELSEWHERE_PHRASES.strike(clause, _STRUCK), "")
    framed = ["^", *filter(None, left), "$"]
    for index, _ in _RULES.find(framed):
        yield _READINGS[index]


_STRUCK = "…"
"""What stands for a word that was struck out. No rule knows it; a gap passes over it."""


# -- The vocabulary ----------------------------------------------------------------------------------------------------

_MISSPELLED = """
stop: stopp stpo sotp tsop syop dtop st0p stpp stopl stpop sstop stopit stol ztop
please: pls plz plss plzz plse plese pleas pleae pleaze plez pleease
text: txt tex tect tezt
texts: txts texs textz textes
texting: txting txtin textin texing texitng textng txtn texxting txtng
message: msg mesage messege massage messge mssg mesg
messages: msgs mesages messeges messags mssgs msges mesgs massages
messaging: mesaging messging msging messagin
sending: sendin sendng
remove: remvoe romove remov rmove reomve remmove
number: numbr numer nmber num nbr
unsubscribe: unsub unsubs unsuscribe unsubcribe unsubscibe unsubscrbe unsubsribe unsubscribed unsubscribing unsubscrib
unsubscribe: unsubscirbe unsubsrcibe unsbscribe unsubscripe unscribe unsubribe unsuscribed unsubcribed
dont: dnt donot
interested: intrested interrested intersted intereted
immediately: immediatly imediately imediatly
arretez: aretez arreter arete arrete arretes arrette arretter areter arettez arrettez
mochte: moechte
horen: hoeren
hort: hoert
aufhoren: aufhoeren
loschen: loeschen
losche: loesche
"""
"""What people mean, and what they type. Accents need no mention, nor letters held down (stooop)."""

_RIGHT = {
    wrong: right
    for right, _, wrongs in (line.partition(":") for line in _MISSPELLED.strip().splitlines())
    for wrong in wrongs.split()
}

_CLASSES = {
    # English
    "stop": "stop stp quit cease halt desist discontinue refrain terminate",
    "texts": "text texts texting message messages messaging sms spam spamming contact contacting send sending notif* "
    "alert alerts reminder reminders promo* coupon coupons ads advert* marketing solicit* bother bothering harass* bugging "
    "communic* correspondence email* mailing* newsletter* offers deals calls calling subscription blast blasts updates "
    "donation* crap shit junk bullshit "
    "pub pubs publicite* textos envoi envois mensaje* mensagem mensagens publicidad werbung nachrichten messaggi* pubblicita",
    "text": "text message contact send call write email bother spam disturb reach solicit harass ping phone",
    "dont": "dont never not cannot",
    "me": "me us my our this",
    "whom": "me us this number phone again anymore ever any anything these more further future",
    "drop": "remove delete take get drop scratch strike cross scrub wipe purge erase unlist delist exclude unenroll pull",
    "list": "list lists system database records record file files directory texts messages contacts mailing*",
    "mine": "number phone contact contacts info name data details cell line",
    "you": "you u ya yall",
    # French
    "cesse": "arretez stoppez stopper cessez cesser cesse",
    "envoi": "message messages sms texto textos mail mails pub pubs publicite* envoi envois envoyer ecrire contacter "
    "relancer spammer harceler notifications demarch* sollicit* embeter deranger menvoyer mecrire communications",
    "envoyez": "envoyez envoyer envoye ecrivez ecrire ecris contactez contacter contacte relancez relancer derangez "
    "deranger embetez embeter sollicitez solliciter harcelez",
    "otez": "retirez retirer retire enlevez enlever enleve supprimez supprimer supprime effacez effacer efface sortez "
    "sortir rayez rayer otez oter",
    # Spanish
    "mensajes": "mensaje* message messages sms texto textos publicidad promocion* notificacion* avisos correos llamadas "
    "informacion spam cosas ofertas",
    "manden": "manden mande mandes mandar* mandando envien envie envies enviar* enviando escriban escriba escribas "
    "escribir* escribiendo molesten moleste molestes molestar* contacten contacte contactes contactar* texteen",
    "dejen": "dejen deja deje dejar dejad paren pare parar para basta alto cesen",
    "borren": "borren borre borra borrar quiten quite quita quitar eliminen elimine elimina eliminar saquen saque saca "
    "sacar remuevan remover retiren retirar",
    # German
    "nachrichten": "nachricht* sms werbung infos mails anrufe mitteilungen newsletter spam reklame angebote",
    "schreiben": "schreib* kontaktier* schick* send* sende melde* belastig* zusend* anschreiben anrufen texten texte "
    "bekommen erhalten empfangen haben",
    "loschen": "losch* streich* entfern* trag tragt tragen nehmt nehmen nimm",
    # Portuguese
    "mensagens": "mensagem mensagens message messages sms spam propaganda* anuncios avisos notificac* ligacoes email*",
    "mande": "mande mandem mandar manda envie enviem enviar contate contatem escreva escrevam chame chamem ligue liguem "
    "incomode incomodem incomodar perturbe perturbem perturbar encher",
    "tire": "tira tire tirem tirar remova removam remove remover apague apaga apaguem apagar exclua excluam excluir "
    "retire retirem retirar deletar delete deletem",
    # Italian
    "messaggi": "messagg* sms pubblicita comunicazion* notifiche avvisi nulla spam offerte promozion* invio invii",
    "scrivere": "scriv* mand* invi* contatt* disturb*",
    "tolga": "cancell* togli* tolg* rimuov* elimin*",
}
"""Words that stand for one another in a rule. `*` is any letters."""

_DROPPED = """
please, pleas, thanks, thank you|u, thank, thx, tnx, ty, tks, kindly, cheers, regards
hi, hello, hey, hiya, yo, dear, sir, madam, maam, guys, dude, bro, bruh, man, sweetie, honey, buddy
good morning|afternoon|evening|day, have a good|great|nice day, god bless, with all due respect
omg, omfg, lol, lmao, wtf, ffs, stfu, jesus, christ, ugh, wow, for the love of god, for gods sake, for fucks sake
fuck you|u, fucking, fuckin, fing, f ing, freaking, frickin, goddamn, damn, bloody, the hell
just, really, seriously, now, right away|now, already, immediately, asap, so, ok, okay, alright, well, then, and, but, also
yes, yeah, yep, yup, nope, nah, sorry, for the last time, lady, fr, im good
svp, sil vous plait, sil te plait, s il vous plait, merci, bonjour, bonsoir, cordialement, madame, monsieur, maintenant
por favor, porfavor, porfa, favor, favor de, gracias, hola, buenas tardes|dias|noches, buenos dias, ya, ahora, oye
bitte, danke, hallo, guten tag|morgen|abend, sofort, jetzt, endlich, mal
por gentileza, pfv, pf, pfvr, obrigado, obrigada, oi, ola, bom dia, boa tarde|noite
per favore, per piacere, per cortesia, grazie, gentilmente, buongiorno, buonasera, salve, ciao, subito, adesso
"""
"""Noise: what may stand anywhere and changes nothing."""

_ELSEWHERE = """
stop|stops|stopping|stopped|stoped by, stop|stops|stopping|stopped in on|at|to|the|this|today|front
stop|stops|stopping|stopped at the|a|an|my|your|our|his|her|just|home|midnight|work|night|0*|1*|2*|3*|4*|5*|6*|7*|8*|9*
stop|stopping|stopped for the|a|an|some|gas|lunch|dinner|coffee|food|kids, stop off, stop over, stops here|there
bus|train|last|next|pit|truck|quick|one|first|second|final|rest|metro|subway|tram|gas|door|full|non|closest|nearest stop|stops
a|the|which|what|each|every stop|stops, stop sign|light|lights|watch|clock|motion, stop on the|my|your|our
dont|cant|cannot|couldnt|wont|wouldnt|never|hasnt|havent|didnt|ill|well|ever stop|stopped|quit|end
doesnt stop at|here|there|on|in|near, cant not stop, not stop at|until|till, could not stop, can not stop, will not stop
until|til|till|when|before|after|if|why did it|they|he|she|we|i stop|stops|stopped|end|ends|quit
do|does|did they|it|he|she|we|the stop|end, time do you stop, when do you stop, when does * stop, does * * stop, what time do they stop
said|told|tell|tells|told me|us|him|her to stop|quit, ask|asked|tell him|her|them|it to stop, ask|tell the * to stop
was told to stop, said to stop, going|trying|want|need|have|had|try|tried|wanted to stop smoking|drinking|eating|taking|for|at
stop smoking|drinking|eating|taking|worrying|crying|laughing|barking|working|being|playing|running|payment|work
stop texting driving, stop texting and driving, stop shop, stop and shop, text and drive, text drive, texting and driving
kid|son|daughter|toddler|phone|cat texted|typed|sent|pressed stop, if i say|text|reply|type|send stop, accident stop
dont|not|never|didnt|accidentally|mistakenly take|remove|delete|drop|unsubscribe|unsubscribes|unlist
did|was|got|get|why|were|accidentally|mistake i|we|it|me|unsubscribe unsubscribe|removed|from, i|we accidentally unsubscribe
off hold, off at, off the waitlist|waitinglist, waiting list, wait list, me off at|on|to|in, off work, drop off, name off the check
remove|delete|take me from the waitlist|meeting|team|class|appointment|slot|shift
text|call|message|contact|send|write|email me|us before|after|until|till|while|when|if|tonight|today|tomorrow|the|a|an|yet|here
text|call|message|contact|send|email me|us|my|him|her|them at work|night|home|the|my|lunch
send|text|call|contact|email|message my|him|her|them|it|the|flowers, send anyone|anybody, any more seats|questions
no more than|parking|tickets|questions|rain|pain|milk|availability, not more than, wrong number of, number of
cant text|talk, cannot text, didnt|havent|never got|get|receive|received|saw|see
never been|had|mind|give|say|heard|got|received|miss|missed, not sure|yet|today|bad|only|quite|necessarily
dont want to miss|lose|be, dont need to, dont forget, dont worry, dont bother with
contact lens|lenses|form|info|information|sheet, spam folder|filter|musubi|and, in|to|my spam folder
end|ends|ended|ending of|up|at|on|in|early|date|table|zone|unit, the|this|that|deep|dead|year|low|high|week|weekend|far end
cancel|cancelled|canceled * appointment|order|reservation|booking|table|cake|delivery
his|her|their text|texts|message|messages, last|first|second message|text|messages|texts, got|get|have|sent|see your message|text
arret de bus, arret du, arret maladie, bus|train|metro arretez, ne|il|elle|on|se arretez pas|en|ici|a, ai|a|avons arretez de
arretez pas, a quel arret, a arret, quel arret, plus de place|pain|temps|batterie|infos|questions, un peu plus, plus tard
plus d informations|infos, je quitte, ne quittez pas, plus informations
parada de, planta baja, mas bajo|baja, marea esta baja, talla baja, esta|estoy|es baja, estoy de baja, muy|mas|el alto
no para|paran|paren de|vamos, para mi|ti|el|la|los|las|dos|tres|que|manana|hoy|llevar|cuando, basta con, con eso basta, no es para
no mas de|cebolla|boletos|tiempo|sal|preguntas, nada mas, mas informacion|info|tarde
no me llego, no me ha|han, no recibi, no quiero nada mas
hort das|es|er|sie|der auf, hort nicht auf, wie lange, keine zeit|ahnung|fragen|karten|zwiebeln, kein problem|thema|stress
nicht mehr kommen|heute|schaffen|da|lange|gesehen, habe|hab|haben keine|nichts, habe die, wann ist|hort
nicht vor|nach|klingeln|bis, nehmen sie karten, ist keine option
vou|posso|vao|ao|pode sair, chega as|que|hoje|amanha|em, pedido chega, horas chega, nao para de, horas para de
nao mais|tem|posso|recebi|chegou, tira uma|a|o, mais informacoes|tarde, parar no|na|em, parada de
non smette|smetto|smesso|smettono, ho smesso, basta cosi|un|una|uno|il|la|e, che basta, non ho|ci|so|mi e, piu informazioni|tardi
niente di|altro|cipolla|male|paura, mi fermo, si ferma, fermata, non sono ancora
"""
"""The words of the rules in another sense. One or more words after one another, without gaps: they are struck out."""


# -- The rules ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rules:
    """Phrases of one language and kind, and what is read where one of them is found."""

    language: str
    kind: str
    reading: Reading
    phrases: str


_CLEAR = Reading(Keyword.STOP, Certainty.CLEAR)
_DOUBTFUL = Reading(Keyword.STOP, Certainty.DOUBTFUL)
_HELP = Reading(Keyword.HELP, Certainty.CLEAR)

_TABLE = (
    _Rules(
        "all",
        "nothing but the words of the list, and noise",
        _CLEAR,
        """
        ^ no|yes|y|i ...1 stop $
        ^ stop ...1 stop $
        ^ stop stop ... stop $
        ^ stop ...1 it|this|that|all|everything|these|those|them $
        ^ stop all of it|this|them $
        ^ stop it all $
        ^ stop forever $
        ^ stop for good|ever $
        ^ stop at once $
        ^ stop means|is stop $
        ^ reply|text|send|sending stop $
        ^ stop|stop2 to end|quit|cancel|stop|unsubscribe|opt ...1 $
        ^ stop2end|stop2quit|stopall $
        ^ stop ...1 quit|cancel|end|unsubscribe ...3 $
        ^ quit|cancel|end stop|quit|cancel|end ...3 $
        ^ quit ...1 it $
        ^ opt out $
        ^ baja|sair|arret|abmelden|cancellami $
        """,
    ),
    _Rules(
        "all",
        "words of the list that are also ordinary ones",
        _DOUBTFUL,
        """
        ^ end|quit|cancel|remove|revoke|discontinue|alto|parar|stp|removed|delete $
        ^ end ...1 it|this|these $
        ^ will|would|can you quit|end|cease $
        """,
    ),
    _Rules(
        "English",
        "stop sending",
        _CLEAR,
        """
        <stop> ...3 <texts>
        <stop> from ...1 <texts>
        cease desist
        wont|dont|cant|not|never <you>|they stop|quit
        <you>|they|it|this|that dont|doesnt stop|quit
        <you> ...1 need|have|got|gotta|must|should|better ...1 to stop|quit
        <you> must|should|better stop|quit
        want|wish|like|need|asking|ask|asked|beg|begging|tell|telling|told this|it|these|<you>|them|yall ...1 to stop|quit
        these|the|this|your|ur|all <texts> ...1 to stop|end|quit|cease
        make it|this|these|them ...1 stop
        said|say|texted|typed|replied|answered|sent ...2 stop
        told|asked <you> ...3 stop|quit
        will|can|could|would <you> ...1 stop $
        appreciate|grateful|if ...4 <you> stopped|quit
        mind ...1 not <texts>
        not <texts> me|us|this
        stop hitting|blowing|wasting|annoying|bugging|sending|trying|asking|begging|pestering|stalking me|my|our|us|to
        stop trying|asking|begging|pestering|stalking|annoying
        what part of stop
        """,
    ),
    _Rules(
        "English",
        "stop, and more",
        _DOUBTFUL,
        """
        ^ stop it|this|that|all|<you>|ur|i|im|we|annoying|means|is|or|before|these|those|with|everything|everyone
        stop $
        stopped|stops $
        """,
    ),
    _Rules(
        "English",
        "no more",
        _CLEAR,
        """
        no more|further|additional ...2 <texts>
        no more ...1 of ...2 <texts>|this|these|it
        ^ no more $
        ^ no <texts> $
        ^ <texts> no $
        ^ no stop ...1 $
        enough ...2 <texts>
        no need to <text> ...1 me|us|$
        """,
    ),
    _Rules(
        "English",
        "do not text",
        _CLEAR,
        """
        <dont> ...2 <text> ...2 <whom>
        ^ ...2 <dont> text|message|contact|send|email|bother|spam|disturb $
        <dont> <text> or <text>
        <dont> bother ...1 <texts>
        <dont> ...2 send anymore|more|these|those
        <dont> ...1 want|need|wish|wanna|like|care|desire ...5 <texts>|hear|contact*|subscribed|subscription
        <dont> ...1 want|need|wanna ...1 these|it|this|this|those|any|yours $
        <dont> ...1 want|need|wanna ...1 any ...1 more|of
        <dont> ...1 want|need|wanna ...1 your|ur
        <dont> ...1 need|want these|the|this ...3 anymore|longer
        <dont> need|want these|this anymore|longer
        no longer ...2 want|wish|need|like|care|require|subscribe|subscribed|interested ...5 <texts>|<list>|hear|contact*|these
        no longer|dont ...1 subscribe $
        rather|prefer ...1 not ...3 <texts>|these
        prefer|rather|like ...2 to|not ...3 no|any <texts>|more
        not|dont|didnt|never|without ...3 permission|consent ...1 to|$
        revoke|revoked|withdraw|withdrawn|withdrawing ...3 consent|permission|authorization
        consent|permission ...2 revoked|withdrawn
        <stop> ...1 all ...2 <texts>
        """,
    ),
    _Rules(
        "English",
        "take me off",
        _CLEAR,
        """
        <drop> ...1 <me> ...4 <list>
        get|let <me> ...1 out of ...4 <list>
        <drop>|get ...1 <me>|your|ur|the ...4 off|from|out ...4 <list>
        ^ ...3 <drop>|get me|us|mine ...1 off|out|$
        <drop>|lose|forget|block ...1 <me> ...2 <mine>
        <drop>|take ...1 <me> ...1 <mine> ...1 off|out
        take|get it|this|me|us ...1 off $
        <drop> <mine> $
        remove ...1 from ...2 <list>
        be|been|being removed|deleted ...4 $
        be|been taken|removed|dropped off|from|out
        have|want|get <me> ...2 <mine> removed|deleted|taken
        off ...2 list|database|system
        ^ lose|forget this|my number
        put|add ...3 not|dont|stop ...1 call|text|contact|message|disturb ...1 list
        not|dont call|text|contact|disturb list|registry|register
        do not call ...2 list|registry
        dnc
        ^ unfollow|unlist|unenroll|delist|remove me|us|$
        unenroll|unsubscribe|unregister
        stop ...1 subscription
        """,
    ),
    _Rules(
        "English",
        "unsubscribe",
        _CLEAR,
        """
        unsubscrib*
        un subscribe
        opt|opted|opting|opts ...1 out
        optout|optsout
        cancel|end|stop|terminate|discontinue|quit ...3 subscription|texts|text|alerts|notifications|messages|sms|updates
        turn|shut|switch ...1 these|this|it|them|texts|messages|notifications|alerts ...1 off
        turn|shut|switch off ...2 it|these|this|them|texts|messages|notifications|alerts
        deactivate|disable|mute ...2 texts|messages|notifications|alerts|these
        want out $
        count|leave me out of ...2 <texts>|list|this|these
        did|do not|dont|didnt|never ...1 sign|signed|subscribe|subscribed|enrolled|agreed|agree|ask|asked ...2 this|these|texts|$
        """,
    ),
    _Rules(
        "English",
        "go away",
        _CLEAR,
        """
        leave|let me|us ...1 alone|be
        <texts> ...2 harassment
        this is harassment
        """,
    ),
    _Rules(
        "English",
        "anger, threats, strangers",
        _DOUBTFUL,
        """
        ^ ...1 go away ...1 $
        ^ get lost $
        fuck|f|piss|bugger|eff|sod|naff|buzz|feck|back off
        fuckoff
        wrong number|person|guy|phone
        nobody|noone|one ...1 by|with that|this name
        harassment|harassing|harassed
        block|blocking|blocked|report|reporting|reported ...2 <you>|number|spam|fcc
        ^ ...1 blocked|reported ...2 $
        reported blocked
        lawyer|attorney|sue|suing|fcc|ftc ...6 <texts>|<you>
        sick|tired|fed|hate|done|enough|annoyed|annoying ...3 <texts>
        too many|much ...1 <texts>
        <you> text|message|contact|call too
        ^ not interested $
        ^ no longer interested $
        can <you> not $
        keep|still|why ...3 getting|texting|sending|messaging|receiving ...1 me|these|this|$
        spammer|spammers|scammer|scammers
        this is spam
        never ...1 signed up
        that|thats enough $
        deceased|passed away|minor
        """,
    ),
    _Rules(
        "French",
        "arrêtez, plus de messages",
        _CLEAR,
        """
        ^ arretez|stoppez ...1 $
        <cesse> ...4 <envoi>
        ^ <cesse> ...1 de|avec|vos|tout|ca|sa|tes
        stop ...3 <envoi>
        plus ...3 <envoyez>|recevoir|<envoi>|contacte|contactee
        <envoyez> ...1 plus|rien|jamais
        ne|pas <envoyez> $
        ne pas|plus|jamais ...1 <envoyez>
        ne ...1 <envoyez> pas
        veux|souhaite|voudrais|desire ...1 plus ...4 <envoi>|recevoir|contacte*|sollicit*
        veux|souhaite|desire pas ...2 recevoir|contacte*|<envoi>
        pas de <envoi>
        ^ fin de|des|aux <envoi>
        refuse ...2 recevoir|<envoi>
        desinscri*
        desabon*
        <otez> moi|nous
        <otez> ...1 mon|ce|mes|nos|notre|le numero|nom|contact|coordonnees|donnees|mail
        me|nous <otez>|desinscrire
        <otez> ...4 liste*|base|fichier*|repertoire
        oppose ...4 utilisation|traitement|prospection|donnees
        annulez|annuler|resilier|resiliez ...2 abonnement|sms|messages|inscription
        laissez|laisse|fichez|fiche|foutez|fous ...1 moi|nous ...1 tranquille|paix
        retire|revoque mon consentement
        """,
    ),
    _Rules(
        "French",
        "anger, strangers",
        _DOUBTFUL,
        """
        mauvais|faux numero
        erreur de|sur numero|le
        trompez|trompe|trompes ...2 numero|personne
        lachez|lache moi|nous
        ca suffit $
        ca suffit vos|les|avec|de|maintenant
        marre ...3 <envoi>
        harcelement|plainte
        ^ degagez|degage $
        va|allez te|vous faire foutre|voir
        ^ pas interesse|interessee $
        """,
    ),
    _Rules(
        "Spanish",
        "no más",
        _CLEAR,
        """
        no|nomas|sin mas ...1 <mensajes>
        nomas <mensajes>
        ^ no|nomas ...1 mas $
        no me|nos ...1 <manden>
        no <manden> ...2 mas|nada|$
        no molest* $
        no mas ...1 <manden>
        no quiero|deseo|quisiera|queremos|necesito ...4 <mensajes>|recibir|sigan
        no quiero nada $
        no quiero|deseo|quiera que ...2 <manden>|sigan|contacten
        ^ no <mensajes> $
        <dejen> ...1 de|con|a|los ...2 <mensajes>|<manden>|llamar*|joder|chingar|escribirme|mandarme|molestarme|enviarme
        que <dejen> de <manden>
        <dejen>|dejenme|dejame|dejeme ...1 en paz
        ^ basta|paren $
        ^ ...1 paren|pare $
        dar|darme|darnos|denme|dame|deme|den|doy|darse ...1 de baja
        quiero|solicito|pido|solicitar|quisiera|baja la|mi|una|darme baja
        ^ stop|alto|baja $
        alto a|con los|sus|estos <mensajes>
        borr*me
        quit*me
        saqu*me
        sacame|sacarme
        elimin*me
        remuevanme|remuevame|retirenme|retireme|retirame|borrarme|quitarme|eliminarme
        me <borren> ...3 lista|base|$
        <borren> ...2 mi|este|el|nuestro|ese numero|contacto|nombre|telefono|datos
        <borren>|elimin*|borr* ...4 lista|base
        cancel*|anul* ...2 suscripcion|<mensajes>|alertas
        desuscri*
        dessuscri*
        desubscri*
        revoco ...2 consentimiento
        no autorizo ...5 contacten|datos|<mensajes>|<manden>
        agradeceria ...2 no ...2 envi*|mand*|escrib*
        """,
    ),
    _Rules(
        "Spanish",
        "anger, strangers",
        _DOUBTFUL,
        """
        numero equivocado|incorrecto
        equivocado|equivoco|equivocaron|equivocaste ...1 de numero|persona
        no es el numero de
        no soy ...1 esa|esta|la persona
        denunciar|demandar|acoso
        hart*|cansad* ...4 <mensajes>
        vayanse|vete|vayase|chinguen|chinga
        les|te ...1 dije|pedi que
        ^ no me interesa $
        elimin*lo
        """,
    ),
    _Rules(
        "German",
        "keine Nachrichten mehr",
        _CLEAR,
        """
        keine|keinerlei ...2 <nachrichten> mehr|mir|an
        ^ ...3 keine ...1 <nachrichten> $
        keine ...1 weiteren|weitere <nachrichten>
        will|mochte|wunsche|brauche|wollen|mochten ...2 keine ...1 <nachrichten>
        send*|schick* ...3 keine|nie ...1 <nachrichten>|mehr
        <schreiben> ...5 nicht|nichts|nix|nie mehr|weiter|wieder
        nicht|nichts|nix|nie mehr|wieder|weiter|langer <schreiben>
        will|mochte|brauche|wollen|mochten ...4 nicht|nichts mehr|langer
        <nachrichten> ...2 nicht mehr
        ^ ...1 hort|hor auf
        horen sie ...1 auf
        hort|hor|horen ...2 auf mir|mich|damit|mit|zu
        ^ ...1 aufhoren ...2 $
        ^ stoppen ...1 $
        stop|stoppt|stoppen sie|das|die|mit|diese|den ...2 <nachrichten>|das
        stoppt das|die|diese
        schluss ...1 damit|mit
        abmeld*
        melden|meldet|melde ...4 ab
        abbestell*
        kundig* ...4 abo|sms|<nachrichten>
        austragen
        <loschen> ...3 mich|uns aus|von|raus
        <loschen> ...3 verteiler|liste|kartei|datenbank
        losch*|streich*|entfern* ...1 mich|uns
        trag|tragt|tragen ...1 mich|uns ...4 aus
        losch*|entfern*|streich* ...1 meine|diese|unsere|die|meinen ...1 nummer|daten|kontakt|telefonnummer|handynummer
        meine|diese|unsere ...1 nummer|daten|kontakt|handynummer ...2 losch*|entfern*|streich*
        aus|von ...2 verteiler|liste|kartei|datenbank ...1 losch*|nehmen|entfern*|streich*|austragen
        lass* ...1 mich|uns ...1 in ruhe|frieden
        in ruhe lassen
        widerruf* ...3 einwilligung|zustimmung
        widersprech* ...6 daten|werbung|nutzung|verarbeitung|zusendung
        unterlassen|unterlasst ...1 sie|das|es|weitere|diese
        """,
    ),
    _Rules(
        "German",
        "anger, strangers",
        _DOUBTFUL,
        """
        falsche|falscher|falschen nummer|person|kontakt
        falsch verbunden
        nicht ...1 belastig*
        belastig*
        ^ ...1 losch* $
        ^ schluss ...1 $
        ^ widerruf $
        ^ kein interesse ...1 $
        reichts
        ...1 reicht es $
        ^ es reicht $
        nervt $
        ihr|sie nerven|nervt
        verpisst|verpiss ...1 euch|dich
        haut|hau ab
        zeige ...3 an
        """,
    ),
    _Rules(
        "Portuguese",
        "chega de mensagens",
        _CLEAR,
        """
        nao quero|desejo|gostaria|queremos ...3 <mensagens>|receber
        nao quero mais $
        nao me|nos <mande>
        nao <mande> ...2 mais|nada|<mensagens>
        nao perturb*|incomod*
        nao ...1 entr* ...1 mais em contato
        nao ...2 entr* em contato
        nao receber ...1 mais
        gostaria|quero|prefiro de|nao ...1 receber|nao
        ^ pare|parem ...1 $
        pare|parem|para|parar|deixem|deixe de|com ...2 <mande>|<mensagens>|receber|isso|spam
        quero parar de
        chega ...1 de ...1 <mensagens>|isso
        nada de ...1 <mensagens>
        ^ <mensagens> nao $
        ^ sem <mensagens> $
        sair ...2 lista|grupo|cadastro
        quero|desejo|gostaria ...1 sair $
        me <tire> $
        me <tire> da|do|de|dessa|desta|daqui|dai
        me descadastr*
        <tire> ...1 meu|este|esse|o|nosso ...1 numero|contato|nome|cadastro|telefone|dados
        descadastr*
        desinscrev*
        cancel* ...3 inscricao|assinatura|envio|<mensagens>|cadastro
        me|nos deix* em paz
        deix* me|nos em paz
        revogo ...2 consentimento
        pedi|falei|disse ...4 parar|parem|sair|nao
        """,
    ),
    _Rules(
        "Portuguese",
        "anger, strangers",
        _DOUBTFUL,
        """
        ^ cancelar|remover|excluir|descadastro|chega $
        numero|pessoa errado|errada
        ^ ...1 engano ...1 $
        denunciar|denunciado
        ^ bloquead* ...2 $
        vai|vao se foder|fuder|lascar
        ^ sem interesse $
        nao tenho interesse $
        isso|isto e spam
        parem|pare $
        """,
    ),
    _Rules(
        "Italian",
        "basta messaggi",
        _CLEAR,
        """
        basta ...2 <messaggi>
        smettetela|smettila
        smett*|smetta di ...2 <scrivere>|romper*|chiamar*
        la smetta
        ^ smett* $
        non <scrivere> ...2 piu|altr*|nulla|niente|$
        non mi|ci ...1 <scrivere>
        non scrivetemi|mandatemi|inviatemi|contattatemi|disturbatemi|chiamatemi|scrivermi|inviarmi|mandarmi|contattarmi
        di non <scrivere>
        non voglio|desidero|vorrei|intendo ...2 ricevere|<messaggi>|contattat*
        non voglio ...1 piu niente|nulla|<messaggi>
        non desidero|voglio ...1 essere ...1 contattat*
        niente|nessun|nessuna piu|altro|altra|altri ...1 <messaggi>
        ^ niente|nessun|no ...1 <messaggi> $
        cancellatemi|cancellami|cancellarmi
        mi cancelli|cancellate|tolga|tolgano|rimuova|elimini
        disiscri*
        toglietemi|toglimi|rimuovetemi|rimuovimi|eliminatemi|eliminami
        <tolga> ...1 il|questo|mio|i|miei|nostro ...1 numero|contatto|nome|nominativo|dati
        <tolga> ...2 lista|elenco|rubrica
        sbagliato cancell*
        cancellazione ...2 dati|numero|iscrizione
        cancella*|annulla* ...1 iscrizione|abbonamento
        lasciatemi|lasciami|lasciateci|lasci in pace
        lasciatemi|lasciami|lasciateci stare
        ^ fermatevi|fermati $
        fermate|fermare ...2 <messaggi>
        interromp*
        stop a|alla|ai|con ...1 <messaggi>
        revoco ...2 consenso
        """,
    ),
    _Rules(
        "Italian",
        "anger, strangers",
        _DOUBTFUL,
        """
        numero sbagliato
        sbagliato numero|persona
        ^ cancellazione|disdetta|cancellare $
        ^ cancella* ...1 $
        denuncio|denuncia|molestia|molestie
        a quel paese
        vaffanculo
        stufo|stufa|stanco|stanca|stufi ...3 <messaggi>
        ^ non sono interessat* $
        ^ non mi interessa $
        """,
    ),
    _Rules(
        "all",
        "help",
        _HELP,
        """
        ^ help|info ...1 me|us|$
        ^ aide|ayuda|hilfe|ajuda|aiuto $
        """,
    ),
)


# -- Reading the tables ------------------------------------------------------------------------------------------------


def _steps(phrase: str) -> list[Step]:
    """The steps of one line of a table."""
    return [step for piece in phrase.split() for step in _piece(piece)]


def _piece(piece: str) -> list[Step]:
    if "<" in piece or "^" in piece or "$" in piece:
        return [_union(_piece_of_choice(choice) for choice in piece.split("|"))]
    return steps_of(piece)


def _piece_of_choice(choice: str) -> Step:
    if choice in ("^", "$"):
        return Step(frozenset({choice}))
    if choice.startswith("<"):
        return _union(steps_of(word)[0] for word in _CLASSES[choice.strip("<>")].split())
    return steps_of(choice)[0]


def _union(steps: Iterable[Step]) -> Step:
    """A step that takes what any of `steps` takes."""
    taken = list(steps)
    return Step(
        frozenset().union(*(step.exactly for step in taken)),
        frozenset().union(*(step.globs for step in taken)),
    )


def _lines(table: str, part: str = "\n") -> list[list[Step]]:
    return [_steps(line) for line in table.split(part) if line.strip()]


class _Fixed:
    """Phrases without gaps, hence with a length, whose places in a clause can be told."""

    def __init__(self, table: str) -> None:
        phrases = _lines(table.replace("\n", ","), ",")
        self._lengths = [len(steps) for steps in phrases]
        self._phrases = Phrases(phrases)

    def strike(self, clause: list[str], by: str) -> list[str]:
        """The clause with `by` for every word of a phrase that is found."""
        left = clause.copy()
        for index, end in self._phrases.find(clause):
            begin = end - self._lengths[index]
            left[begin:end] = [by] * (end - begin)
        return left


_ELSEWHERE_PHRASES = _Fixed(_ELSEWHERE)
_DROPPED_PHRASES = _Fixed(_DROPPED)
_PHRASES = [(steps, rules.reading) for rules in _TABLE for steps in _lines(rules.phrases)]
_READINGS = [reading for _, reading in _PHRASES]
_RULES = Phrases(steps for steps, _ in _PHRASES)
