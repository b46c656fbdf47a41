"""In what words do people ask for silence, and which of these words mean something else?

Tables for `intents`, which says how they are read: frequent misspellings, classes of words, noise, the words of the
rules in another sense, and the rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# -- The vocabulary ----------------------------------------------------------------------------------------------------

MISSPELLED = """
stop: stahp stap stawp stopp sttop stpo sotp tsop syop dtop st0p stpp stopl 5top stpop sstop stopit stol ztop
be: b
list: lsit lits kist liat
your: yor yuor yoir
this: thid thsi tihs rhis
opt: opy ipt oppt opr
off: ofd pff ogf
are: r
take: tk tale takr tske takw
please: pls plz plss plzz plse plese pleas pleae pleaze plez pleease
text: txet yext rext etxt txt tex tect tezt
texts: txts texs textz textes
texting: txtng txting txtin textin texing texitng textng txtn texxting txtng
message: msg mesage messege messge mssg mesg
messages: msgs mesages messeges messags mssgs msges mesgs
messaging: mesaging messging msging messagin
sending: sendin sendng
remove: remvoe romove remov rmove reomve remmove
number: numbr numer nmber num nbr
unsubscribe: unsub unsubs unsuscribe unsubcribe unsubscibe unsubscrbe unsubsribe unsubscribed unsubscribing unsubscrib
unsubscribe: unsubscirbe unsubsrcibe unsbscribe unsubscripe unscribe unsubribe unsuscribed unsubcribed
dont: dnt donot donnt dotn odnt dpnt domt
interested: intrested interrested intersted intereted
immediately: immediatly imediately imediatly
arretez: arretiez aretez arreter arete arrete arretes arrette arretter areter arettez arrettez
mochte: moechte
horen: hoeren
hort: hoert
aufhoren: aufhoeren
loschen: loeschen
losche: loesche
"""
"""What people mean, and what they type. Accents need no mention, nor letters held down (stooop)."""

FAMILIAR = """
stop quit texts spam wrong cease blocked blocking anymore signed bother bothering permission subscribe receive
stopping texting sending contact contacting message messages messaging remove removed delete deleted unsubscribe number
please interested immediately subscription consent spamming harassing notifications leave alone cancel
envoyez recevoir tranquille suffit supprimer retirer enlever messages desinscrivez numero
arretez messages desinscrire desabonner supprimez retirez enlevez contactez
dejen paren quiten borren manden envien contacten lista molestar recibir quitar borrar eliminar
mensajes escriban escribir molesten suscripcion cancelar borrenme numero publicidad
keine nicht schluss nummer loschen schicken falsche verteiler unterlassen austragen
nachrichten schreiben abmelden aufhoren abbestellen werbung entfernen
parem mandar mandem excluir exclua remova enviar tirem
mensagem mensagens remover descadastrar receber propaganda
togliete voglio rimuovete smettetela scrivetemi contattatemi iscrizione
messaggi cancellate cancellatemi toglietemi smettete pubblicita ricevere
"""
"""Words that are recognised with one slip: a letter left out, doubled, or in its neighbour's place."""

LOOKALIKES = """
atop borsen case cese elever enfiar envoyes flasche foglio kummer landen lave leve lisa mandam mandan mandas mandat
mantem messager molesta nimmer numeri paaren quoten retired retires sam scheiben schreien schuss sendung signe signer
spa sto sop top trem vgl wong tests hasta
anmelden angemeldet testing sensing slamming stooping massage massages
remova remove entferne supprime cancela cancellare smettere
"""
"""Words that are one slip from a familiar one and none."""

CLASSES = {
    "Other matters": """
        other: appointment* appt* order orders reservation* booking* table tables meeting* game match practice lesson*
        other: class classes course courses session flight flights trip ticket tickets seat seats room rooms lease rent
        other: contract membership gym plan insurance policy card payment* autopay charge charged charges charging fee
        other: fees invoice* bill refund deposit delivery deliveries package* parcel* shipment* pickup item items cart
        other: size color box boxes pizza food lunch* dinner* breakfast meal* menu onion* nuts peanut* cheese allerg*
        other: medication* medicine* meds pill pills antibiotic* ibuprofen aspirin dose treatment therapy vaccin* shot
        other: shots surgery stitches bleeding pain itch* cough* fever bandage* cast tooth crown rash wheelchair ride
        other: rides shuttle car cars truck repair* leak heat heater alarm noise bark* dog dogs cat mold
        other: power outage internet cable cleaning lawn mowing tree trees snow war violence pipeline developer tag
        other: desk front slot slots creneau turno turnos turni schicht fruhschicht spatschicht eviction*
        other: schedule shift roster price until til till waitlist waitlisted waiting guest guests bus carpool trash
        other: smoking drinking smoke
        other: starter code password link form forms trial benefits account furniture carpet couch sofa bike paint
        other: hiccups snoring crying nosebleed drip faucet toilet sink engine brakes light lights music machine printer
        other: milk sugar ice sauce bread salad soup drink drinks chair chairs cake birthday party raffle seating
        other: field dental roaming warranty loan mortgage headache* nausea vomiting swelling infection scar
        other: rdv rendez seance match commande colis livraison table cantine repas salle sport gym cours billet billets
        other: places chambre traitement medicament* cachets douleur toux fievre oignon* noix fromage facture
        other: paiement carte assurance contrat location loyer fuite bruit voiture chien train vol valise
        other: cita citas pedido pedidos reserva mesa clase clases vuelo boleto* turno cena comida almuerzo cebolla*
        other: hielo queso nueces cacahuate* azucar medicamento* medicina pastilla* antibiotico dolor tos fiebre
        other: sangrado
        other: espera factura tarjeta seguro contrato renta alquiler gimnasio paquete entrega coche carro perro ruido
        other: fumar servicio cable producto articulo transporte camion escolar
        other: termin* bestellung* buchung reservierung tisch kurs schwimmkurs training flug karten platz zimmer essen
        other: mittagessen zwiebel* nuss nusse kase tabletten medikament* schmerz* husten fieber blutung rechnung konto
        other: zahlung karte versicherung vertrag miete fitnessstudio paket lieferung auto hund larm rauchen bus
        other: regnen regen faden artikel wasser heizung strom schule kita verein
        other: consulta pedido reserva mesa aula aulas voo ingresso* vaga horario jantar almoco cebola azeitona gelo
        other: queijo remedio* comprimido* dor tosse febre sangramento fatura boleto cartao seguro contrato aluguel
        other: academia encomenda entrega carro cachorro barulho cigarro item itens produto pontos onibus chuva plano
        other: appuntament* visita ordine prenotazion* tavolo lezion* corso volo bigliett* posto camera cena pranzo
        other: cipoll* noci formaggio ghiaccio medicin* farmac* cura antibiotic* dolore tosse febbre punti fattura
        other: pagamento carta assicurazione contratto affitto palestra pacco consegna macchina cane rumore fumo
        other: articolo
    """,
    "English": """
        stop: stop stp quit cease halt desist discontinue refrain terminate suspend pause
        texts: text texts texting message messages messaging sms spam spamming contact contacting send sending
        texts: notif* alert alerts reminder reminders promo* coupon coupons ads advert* marketing solicit*
        texts: bother bothering harass* bugging communic* correspondence email* mailing* newsletter* offers
        texts: deals calls calling subscription blast blasts updates donation* crap shit junk bullshit pub
        texts: pubs publicite* textos envoi envois mensaje* mensagem mensagens publicidad werbung nachrichten
        texts: messaggi* pubblicita
        text: text message contact send call write email bother spam disturb reach solicit harass ping phone
        dont: dont never not cannot
        me: me us my our this his her their
        whom: me us this number phone again anymore ever any anything these more further future
        drop: remove rm delete take drop scratch strike cross scrub wipe purge erase unlist delist exclude
        drop: unenroll pull withdraw deactivate unregister eliminate unlink omit discard dump ditch cut exclude toss
        list: list lists system database records record file files directory texts messages contacts mailing*
        mine: digits deets number phone contact contacts info name data details cell line
        you: you u ya yall
        pester: reaching pinging hounding pestering begging trolling hassling badgering blasting flooding stalking
        pester: asking pushing hitting nagging bugging wasting annoying blowing emailing bombarding bombing hustling
        pester: targeting chasing following disturbing pressuring scamming soliciting fundraising marketing notifying
        signed: sign signed subscribe subscribed enroll enrolled register registered agree agreed consent consented
        signed: opt opted join joined authorize authorized approve approved
    """,
    "French": """
        cesse: arretez stoppez stopper cessez cesser cesse
        envoi: message messages sms spam texto textos mail mails pub pubs publicite* envoi envois envoyer
        envoi: ecrire contacter relancer spammer harceler notifications demarch* sollicit* embeter deranger
        envoi: menvoyer mecrire communications offres promo* rappels infolettre* sollicitation* relance*
        envoyez: envoyez envoyer envoye ecrivez textez texter spammez ecrire ecris contactez contacter
        envoyez: contacte relancez relancer derangez deranger embetez embeter sollicitez solliciter harcelez
        otez: retirez retirer retire enlevez enlever enleve supprimez supprimer supprime effacez effacer
        otez: efface sortez sortir rayez rayer otez oter
    """,
    "Spanish": """
        todavia|aun no, no quiero molestar, no puedo|pude mandar|enviar|escribir|abrir, no puedo|pude|pudo|podemos|se
        mensajes: mensaje* message messages sms texto textos publicidad promocion* notificacion* avisos
        mensajes: correos llamadas informacion spam cosas ofertas propaganda anuncios promos textos recordatorios
        manden: mandeis envieis escribais molesteis manden mande mandes mandar* mandando envien envie envies
        manden: enviar* enviando escriban escriba escribas escribir* escribiendo molesten moleste molestes
        manden: molestar* contacten contacte contactes contactar* texteen
        dejen: dejad parad dejen deja deje dejar paren pare parar para basta alto cesen
        borren: borren borre borra borrar quiten quite quita quitar eliminen elimine elimina eliminar saquen
        borren: retire retira retirad saque saca sacar remuevan remover retiren retirar
    """,
    "German": """
        nachrichten: nachricht* werbesms werbenachrichten sms werbung infos mails anrufe mitteilungen
        nachrichten: newsletter spam reklame angebote erinnerungen texte benachrichtigung* aktionen
        schreiben: schreib* kontaktier* schick* send* sende melde* belastig* zusend* anschreiben anrufen
        schreiben: texten texte bekommen erhalten empfangen haben
        loschen: losch* streich* entfern* trag tragt tragen nehmt nehmen nimm
    """,
    "Portuguese": """
        mensagens: mensagem mensagens message messages sms spam propaganda* promoc* anuncios avisos notificac*
        mensagens: ligacoes email* textos ofertas lembretes publicidade
        mande: contacte contactem contactar ligar ligando mandando escrever escrevendo contatar contatando chamar
        mande: enviando perturbando mande mandem mandar manda envia falem envie enviem enviar contate contatem escreva
        mande: escrevam
        mande: chame chamem ligue liguem incomode incomodem incomodar perturbe perturbem perturbar encher
        tire: retira tira tire tirem tirar remova removam remove remover apague apaga apaguem apagar exclua
        tire: exclui excluem elimine eliminem elimina eliminar excluam excluir retire retirem retirar deletar delete
        tire: deletem
    """,
    "Italian": """
        messaggi: messagg* sms pubblicita comunicazion* notifiche avvisi nulla spam offerte promozion* invio
        messaggi: invii promemoria avviso newsletter mail email* notifica
        scrivere: scriv* mand* invi* contatt* disturb*
        tolga: cancell* togli* tolg* rimuov* elimin*
    """,
}
"""Words that stand for one another in a rule, by the name of their class. `*` is any letters."""

DROPPED = """
please, pleas, thanks, thank you|u, thank, thx, tnx, ty, tks, kindly, cheers, regards
hi, hello, hey, hiya, yo, dear, sir, madam, maam, guys, dude, bro, bruh, man, sweetie, honey, buddy
good morning|afternoon|evening|day, have a good|great|nice day, god bless, with all due respect
omg, omfg, lol, lmao, wtf, ffs, jesus, christ, ugh, wow, for the love of god, for gods sake, for fucks sake
fucking, fuckin, fing, f ing, freaking, frickin, goddamn, damn, bloody, the hell
just, really, seriously, now, right away|now, already, immediately, asap
so, ok, okay, alright, well, then, and, but, also
yes, yeah, yep, yup, nope, nah, sorry, for the last time, lady, fr
svp, sil vous plait, sil te plait, s il vous plait, merci, bonjour, bonsoir, cordialement, madame, monsieur, maintenant
por favor, porfavor, porfa, favor, favor de, gracias, hola, buenas tardes|dias|noches, buenos dias, ya, ahora, oye
bitte, danke, hallo, guten tag|morgen|abend, sofort, jetzt, endlich, mal
por gentileza, pfv, pf, pfvr, obrigado, obrigada, oi, ola, bom dia, boa tarde|noite
per favore, per piacere, per cortesia, grazie, gentilmente, buongiorno, buonasera, salve, ciao, subito, adesso
"""
"""Noise: what may stand anywhere and changes nothing."""

ELSEWHERE = {
    "English": """
        me|us|my off monday|tuesday|wednesday|thursday|friday|saturday|sunday|today|tomorrow|tonight
        me|us off 0*|1*|2*|3*|4*|5*|6*|7*|8*|9*
        no text|texts|message|call needed|necessary|required|here, police|incident|accident|lab report
        we should|must|can|will stop, help stop
        stop|stops|stopping|stopped|stoped by, stop|stops|stopping|stopped in on|at|to|the|this|today|front
        stop|stops|stopping|stopped at the|a|an|my|your|our|his|her|just|home|midnight|work|night
        stop|stops|stopping|stopped at 0*|1*|2*|3*|4*|5*|6*|7*|8*|9*, stop 0*|1*|2*|3*|4*|5*|6*|7*|8*|9*
        stop|stopping|stopped for the|a|an|some|gas|lunch|dinner|coffee|food|kids, stop off, stop over, stops here|there
        shop|bus|train|tram|metro|subway|truck|gas|rest|pit|door stop|stops
        last|next|quick|one|first|second|final|full|non|closest|nearest stop|stops
        a|the|which|what|each|every stop|stops, stop sign|light|lights|watch|clock|motion, stop on the|my|your|our
        dont|cant|cannot|couldnt|wont|wouldnt|never|hasnt|havent|didnt|ill|well stop|stopped|quit|end
        could|can|will not stop, cant not stop, not stop at|until|till, will stop on
        nothing can stop, i|they can stop
        doesnt|dont stop raining|snowing|hurting|bleeding|crying|coughing, doesnt stop at|here|there|on|in|near
        until|til|till|when|before|after|if|why did it|they|he|she|we|i stop|stops|stopped|end|ends|quit
        do|does|did they|it|he|she|we|the stop|end, time do you stop, when do you stop, what time do they stop
        when does * stop, does * * stop
        said|told|tell|tells me|us|him|her to stop|quit, ask|asked|tell him|her|them|it to stop, ask|tell the * to stop
        was told to stop, said to stop, going|trying|want|need|have|had|try|tried|wanted to stop smoking|drinking|eating
        need|had|have|want|going|trying to stop taking|for|at|sleeping|sleepin
        stop smoking|drinking|eating|taking|worrying|crying|laughing|barking|working|being|playing|running|payment|work
        stop texting driving, stop texting and driving, stop shop, stop and shop|grab|get
        text and drive, text drive, texting and driving
        kid|son|daughter|toddler|phone|cat texted|typed|sent|pressed stop, if i say|text|reply|type|send stop
        dont|not|never|didnt|accidentally|mistakenly take|remove|delete|drop|get me|us|my off|from|out
        dont|not|never|didnt|accidentally|mistakenly take|remove|delete|drop|unsubscribe|unlist
        did|was|why|accidentally|mistake i|we|it|me unsubscribe|removed, i|we accidentally unsubscribe
        get|got removed from
        sign|signed up yet, register|registered yet, not signed up yet, on the list but, calling it|him|her|them
        off hold, off at, off the waitlist, waiting list, wait list, me off at|on|to|in, off work, drop off
        remove|delete|take me from the waitlist|meeting|team|class|appointment|slot|shift
        text|call|message|contact|send|write|email me|us before|after|until|till|while|when|if
        text|call|message|contact|send|write|email me|us tonight|today|tomorrow
        text|call|message|contact|send|write|email me|us the|a|an|yet|here
        text|call|message|contact|send|email me|us|my|him|her|them at work|night|home|the|my|lunch
        send|text|call|contact|email|message my|him|her|them|it|the|flowers
        send anyone|anybody, any more seats|questions
        no more than|parking|tickets|questions|rain|pain|milk|availability, not more than, wrong number of, number of
        did|does|have not get|receive|send|text|call|contact|message|write, did you not
        text|call|write|message|send me|us back
        cant text|talk, cannot text, no texts|messages got|came|on|yet
        didnt|havent|never got|get|receive|received|saw|see
        never been|mind|give|say|heard|got|received|miss|missed, not sure|yet|today|bad|only|quite|necessarily
        dont|not have|understand|know, i deleted my
        dont want to miss|lose, dont|not have to, if not, consent form|forms, dont need to, dont forget, dont worry
        dont bother with, answer|answering|getting|get|got|have my|your|any text|texts|message|messages
        contact lens|lenses|form|sheet, your|for|s contact info|information, spam folder|filter|musubi|and
        in|to|my spam folder
        end|ends|ended|ending of|up|at|on|in|early|date|table|zone|unit
        the|this|that|deep|dead|year|low|high|week|weekend|far end
        his|her|their text|texts|message|messages, last|first|second message|text|messages|texts
        got|have|sent|see your message|text
        """,
    "French": """
        veux|voudrais pas deranger, pas encore, ne retrouve|trouve|vois plus, retrouve|trouve|vois plus
        pas de message recu, me suis trompe
        arret de bus, arret du, arret maladie, bus|train|metro arretez, ne|il|elle|on|se arretez pas|en|ici|a
        ai|a|avons arretez de, vous avez arretez, avez arretez, arretez pas, a quel arret, a arret, quel arret
        recois plus|pas, plus|pas recu|recois|compris, ne recois
        plus de place|places|pain|temps|batterie|infos|questions|informations, plus informations, un peu plus, plus tard
        je quitte, ne quittez pas
        enlevez|retirez|supprimez|effacez|desinscrivez|desabonnez|annulez pas, stop par erreur
        """,
    "Spanish": """
        parada de, planta baja, mas bajo|baja, marea esta baja, talla baja, esta|estoy|es baja, estoy de baja
        la baja del
        muy|mas|el alto, no paren, no para|paran de, para mi|ti|el|la|los|las|dos|tres|que|manana|hoy|llevar|cuando
        basta con dos|tres|uno|un|una|eso|esto|1*|2*|3*, con eso basta, no es para
        no mas de|cebolla|boletos|tiempo|sal|preguntas, nada mas, mas informacion|info|tarde
        no me llego|llegaron|mandaron|enviaron|llega|escribieron, no me ha|han, no he recibido, no recibi
        no manden|mande|mandes|envien|envie la|el|los|las, no me manden|mande|envien la|el|factura, no quiero nada mas
        no me|nos quiten|quites|saquen|saques|borren|borres|eliminen|den, no cancelen|borren|eliminen, no dejen de
        """,
    "German": """
        will|mochte nicht storen, noch nicht|keine, mich|uns auf die liste, hort auf zu regnen|schneien
        hort das|es|er|sie|der auf, hort nicht auf, ist keine option
        wie lange, keine zeit|ahnung|fragen|karten|zwiebeln|sorge, kein problem|thema|stress
        keine nachricht|nachrichten|sms bekommen|erhalten, nicht bekommen|erhalten, nachricht nicht
        nicht mehr notig|krank|warten|kommen|heute|schaffen|da|lange|gesehen, habe|hab|haben keine|nichts
        nicht vor|nach|klingeln|bis, nehmen sie karten
        nicht abmelden|austragen|streichen|entfernen|loschen|kundigen, meldet|loscht|streicht|nehmt mich nicht
        """,
    "Portuguese": """
        ainda nao, nao quero incomodar|atrapalhar, vou|posso|vao|ao sair, chega as|que|hoje|amanha|em, pedido chega
        horas chega
        nao para de, horas para de, nao mais|tem|posso|recebi|chegou|recebemos, tira uma|a|o, mais informacoes|tarde
        parar no|na|em, parada de
        nao me tire|tira|tirem|removam|excluam|descadastrem, nao cancele|cancelem|apague|apaguem
        nao quero cancelar|sair
        """,
    "Italian": """
        non voglio|vorrei disturbare, non ancora, ancora iscritt*
        non smette|smetto|smesso|smettono, ho smesso, basta cosi|un|una|uno|il|la|e|che, non ci|so|mi e
        non ho ricevuto|avuto|capito|trovato, piu informazioni|tardi, mi e arrivat*
        niente di|altro|cipolla|male|paura, mi fermo, si ferma
        non toglietemi|cancellatemi|rimuovetemi|eliminatemi|disiscrivetemi, non cancellate|annullate
        non voglio cancellarmi
        """,
}
"""The words of the rules in another sense, phrases parted by commas. They have no gaps: what is struck has a length."""


# -- The rules ---------------------------------------------------------------------------------------------------------


class Meant(StrEnum):
    """What a phrase stands for."""

    STOP = "stop"  # any reasonable person reads it so
    MAYBE_STOP = "maybe stop"  # for a person to decide
    HELP = "help"
    TEXTS = "texts"  # what is sent; this and the following weigh for or against
    MINE = "mine"  # a number that is kept
    OTHER = "other"  # a matter that is none of texts
    ASKING = "asking"  # a question whose answer is a fact
    AGAIN = "again"  # texts are wanted after all


@dataclass(frozen=True, slots=True)
class Rules:
    """Phrases of one language and kind, and what is meant where one of them is found."""

    language: str
    kind: str
    meant: Meant
    phrases: str


TABLE = (
    Rules(
        "all",
        "nothing but the words of the list, and noise",
        Meant.STOP,
        """
        ^ no|yes|y|i ...1 stop $
        ^ stop ...1 stop $
        ^ stop stop ... stop $
        ^ stop ...1 it|this|that|all|everything|these|those|them $
        ^ stop all of it|this|them $
        ^ stop it all $
        ^ stop forever $
        will|would|can|could <you>|we ...2 stop this|these|it|that|those $
        ^ stop friend|friends|mate|love|hun|boss|folks $
        ^ desist|cease $
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
    Rules(
        "all",
        "words of the list that are also ordinary ones",
        Meant.MAYBE_STOP,
        """
        ^ end|quit|cancel|remove|revoke|discontinue|halt|alto|parar|stp|removed|delete $
        ^ end ...1 it|this|these $
        ^ terminate|unsubbed|removeme|stoptextingme|pleasestop|takemeoff|leavemealone|dontcontactme|donttextme $
        ^ supprimez|supprimer|desactiver|deaktivieren|olvidenme|cancelenme|removam|descadastre|disattivate $
        ^ will|would|can you quit|end|cease $
        """,
    ),
    Rules(
        "English",
        "stop sending",
        Meant.STOP,
        """
        ^ end texting|messaging|contacting|bothering|spamming ...2 $
        kill|cut|silence|ditch|lose|drop|end|finish|cancel|block ...1 the|these|your|ur|all|those <texts>
        going|gonna ...1 to stop|quit $
        <stop> ...2 <pester> ...1 me|us|my|our|people|out|for|up|$
        ^ stop no|non|nao|ne|je|ich|keine|kein|por|per|pour
        <stop> ...3 <texts>
        <stop> ...1 getting|receiving
        <stop> ...1 writing|emailing|dming|whatsapping ...1 me|us|to|this
        how ...3 stop|end|quit ...2 this|these|it|them|<texts>
        ^ how to stop $
        way ...2 to stop|end|quit
        <stop> from ...1 <texts>
        cease desist
        wont|dont|cant|not|never <you>|they stop|quit
        <you>|they|it|this|that dont|doesnt stop|quit
        <you> ...1 need|have|got|gotta|must|should|better ...1 to stop|quit
        <you> must|should|better stop|quit
        want|wish|like|need|asking|ask this|it|these|<you>|them|yall ...1 to stop|quit
        asked|beg|begging|tell|telling|told this|it|these|<you>|them|yall ...1 to stop|quit
        these|the|this|your|ur|all <texts> ...1 to stop|end|quit|cease
        if|unless ...2 <texts> ...1 dont|doesnt|do ...1 stop|end
        make it|this|these|them ...1 stop
        make|want|wish it|this|these|them ...2 go away
        said|say|texted|typed|replied|answered|sent ...2 stop
        told|asked|telling|asking <you> ...1 to stop|quit
        will|can|could|would <you> ...1 stop $
        appreciate|grateful|if ...4 <you> stopped|quit
        mind ...1 not <texts>
        not <texts> me|us|this
        <stop> hitting|blowing|blowin|wasting|annoying|bugging|sending ...1 me|my|our|us|to
        <stop> trying|asking|begging|pestering|stalking|filling ...1 me|my|our|us|to
        stop|quit trying|asking|begging|pestering|stalking|annoying
        what part of stop
        """,
    ),
    Rules(
        "English",
        "stop, and more",
        Meant.MAYBE_STOP,
        """
        ^ stop it|this|that|all|<you>|ur|i|im|we|annoying|means|is|or|before|these|those|with|everything|everyone
        stop $
        stop ...2 $
        ^ stop me|us|from|for|at|to ...1 getting|this|all
        <drop>|take off|out my|this number
        calling|contacting ...2 lawyer|attorney|police|cops|fcc|ftc
        exclude me|us|my
        didnt ...1 sign|opt|subscribe|agree ...1 up|in|to|$
        stop|quit fundraising|soliciting|marketing|advertising
        sop|stoop|step|stip|top|stor <texts> me
        stop testing|tasting|texing me
        <dont> ...5 text|texts|texting|message|messages|messaging|sms|spam
        no ...5 texts|texting|messages|messaging|sms|spam
        <dont> ...2 <text> ...3 <whom>
        <dont> ...4 hear ...3 from|about|you
        <dont> ...1 use|have this|my number
        <dont> ...1 solicit|contact $
        <dont> ask me again
        <drop>|take|get ...2 <me> ...2 of|off ...4 <list>
        take|get <me> of ...2 list
        <me> ...1 <mine> ...2 deleted|removed|erased|off
        deleted|removed|erased|taken ...3 <list>|<mine>
        off ...3 list|system|database
        off it $
        nothing to do with <you>
        no longer ...2 participate|contact|want|wish
        not|never ...1 consenting|consented|agreed|agreeing|consent|authorized|permitted
        ^ no consent|permission|want|moar ...2 $
        ^ no need $
        ^ nomore|gtfo|gfy|foff $
        no use for these|this|it $
        no need for these|this|it $
        no need|use for|of your
        rather|prefer|wish <you> didnt|dont|not|wouldnt|would ...1 <text>|stop
        appreciate|like|love|prefer ...2 being|be|getting taken|removed|off
        ever|when ...2 stop $
        last|final|formal|third|second warning|notice|request
        want|need off this|your|the
        <list> ...3 off
        not|shouldnt|why ...2 on this|your|the list
        shouldnt ...1 be ...1 getting|receiving
        arent for|meant me $
        not ...1 meant for me
        these|texts not|arent for me
        why ...2 get|getting|receive|receiving|got these|this|them $
        illegal $
        breaking ...1 law
        tcpa
        complaint filed
        class action
        lawyers|attorneys ...2 will
        reported|forwarded|marked|marking|flagged ...1 to|as ...1 carrier|7726|spam|junk|phishing
        delete|deleting|deleted ...1 block|report|reported|blocked|<you> $
        ^ deleted|blocking $
        getting blocked
        ^ ...1 not wanted|appreciated ...1 $
        dont like|care|appreciate for|these|being ...2 these|<texts>|spammed|$
        dont like these
        ^ not|never again $
        get|stay|keep out|off of|my|outta ...1 phone|inbox|my|here
        get outta here
        ^ stay away $
        ^ leaf me alone
        lemme alone
        ^ bug|back|jog|beat|bugger off|on|it $
        ^ take a hike $
        kick rocks
        drop dead
        ^ up yours $
        kiss my ass
        fuck|screw|eff|hate ...1 your|ur|these|the <texts>
        fuck|screw|eff you|u|yourself|urself $
        rot in hell
        not interested in hearing|anything
        asked|told|ask <you> multiple|many|nicely|several|repeatedly
        how many times ...3 ask|tell|told|say
        update ...1 records|list|database
        dont want $
        <list> ...6 off $
        leave ...2 alone
        bother|annoy|harass|text somebody|someone|anybody else
        had it|enough with ...3 <texts>
        <texts> ...4 annoying|crazy|unwanted|welcome|illegal|unsolicited|intrusive
        sick|tired|fed|over|done ...4 <texts>
        not ...2 interested ...6 <texts>|offer|offers|list
        no ...1 interest in
        if|unless <you>|this|it|they dont|doesnt|does|do ...1 stop
        if|unless <you>|they ~ ~ ...1 <texts>
        ^ stop <texts>|its|police
        """,
    ),
    Rules(
        "English",
        "no more",
        Meant.STOP,
        """
        no more|further|additional ...2 <texts>
        no more ...1 of ...2 <texts>|this|these|it
        ^ no more $
        ^ no ...1 text|texts|texting|messages|messaging|sms|spam ...1 no|$
        ^ no ...1 contact|promo*|ads|alerts|notif*|marketing|solicit* ...1 no|$
        no no ...1 texts|messages|spam
        ^ ...2 no more $
        no more|further ...1 <texts>|sms
        no mre|mor|moar <texts>
        ^ ...1 <texts> no $
        ^ no stop ...1 $
        enough ...2 <texts>
        no need to <text> ...1 me|us|$
        """,
    ),
    Rules(
        "English",
        "do not text",
        Meant.STOP,
        """
        <dont> ...1 want|wish|wanna|like ...2 be|get texted|messaged|called|emailed|spammed|contacted|solicited
        no longer|more <text> ...1 <whom>|my|$
        <dont> ...2 <text> ...2 <whom>
        ^ ...2 <dont> text|message|contact|send|email|bother|spam|disturb $
        <dont> <text> or <text>
        do nt <text>
        <dont> bother ...1 <texts>
        <dont> ...2 send anymore|more|these|those
        <dont> send ...2 <texts>
        <dont> ...1 agree|consent ...4 <texts>|$
        <dont> ...1 opt|opted in $
        <dont> ...1 sign|signed|subscribe|subscribed|subscribing ...1 up|to $
        <dont> ...1 subscribe|subscribed to
        <dont> ...1 request|requested|ask|asked|want|wanted ...2 <texts>
        <dont> need|want|use this|your service|services ...2 anymore $
        no longer need|want|use ...1 service|services
        <dont> ...1 want|need|wish|wanna|like|care|desire ...5 <texts>|contact*|subscribed|subscription
        <dont> ...1 want|need|wish|wanna|like|care|desire ...2 hear from|more
        <dont> ...1 want|need|wanna ...1 these|it|this|those|any|yours $
        <dont> ...1 want|wish|wanna|like ...2 be|get|getting|receive|receiving ...3 <list>|these|this
        <dont> ...1 want|wish|wanna|like ...2 be|get|getting|receive|receiving ...3 those|anymore|any|<texts>
        <dont> ...1 include me|us
        not ...1 authorize|authorise|consent|permit
        <dont> ...1 want|need|wanna ...1 any ...1 more|of
        <dont> ...1 want|need|wanna ...1 your|ur
        <dont> ...1 need|want these|the|this ...3 anymore|longer
        <dont> need|want these|this anymore|longer
        no longer ...2 want|wish|need|like ...5 <texts>|<list>|hear|contact*|these
        no longer ...2 care|require|subscribe|subscribed|interested ...5 <texts>|<list>|hear|contact*|these
        no longer|dont ...1 subscribe $
        rather|prefer ...1 not ...3 <texts>|these
        prefer|rather|like ...2 to|not ...3 no|any <texts>|more
        not|dont|didnt|never|without ...3 permission|consent ...1 to|$
        revoke|revoked|withdraw|withdrawn|withdrawing ...3 consent|permission|authorization
        consent|permission ...2 revoked|withdrawn
        <stop> ...1 all ...2 <texts>
        """,
    ),
    Rules(
        "English",
        "take me off",
        Meant.STOP,
        """
        <drop> ...1 <me> contact info|information|details
        scrub|purge|erase|wipe me|us $
        how|way ...2 get off|out ...1 $
        <drop>|take|get it|this|that|them|mine ...1 off|out|from ...3 <list>
        drop|scratch|pull|clear|unsave|take|cut|toss|ditch ...1 <me> <mine>
        time ...1 remove|delete|cancel|quit|end $
        have|get|see me|us ...2 removed|deleted|taken|unsubscribed|dropped|erased
        withdraw|deactivate|unregister|eliminate|omit|exclude|unlink|discard me|us $
        withdraw|deactivate|unregister|eliminate|omit|exclude|unlink|discard me|us ...1 from
        loose|burn|trash|discard|toss|destroy|unsave|clear my|this ...2 number|info|contact
        <drop>|take ...1 this|my number|phone ...1 off|out|from|away|please
        deactivate|disable|close|unregister ...1 my|this number|phone|contact
        <drop> ...1 <me> ...4 <list>
        get|let <me> ...1 out of ...4 <list>
        <drop>|get ...1 <me>|your|ur|the ...4 off|from|out ...4 <list>
        ^ ...3 <drop>|get me|us|mine ...1 off|out
        ^ ...3 remove|rm|delete|scratch|erase|unlist me|us $
        remove|delete|erase|purge|wipe|scrub|strike|exclude|lose|forget|block|rm|ditch ...1 <me> ...2 <mine>
        <drop>|take|get ...1 <me> ...1 <mine> ...1 off|out
        take|get it|this|me|us ...1 off $
        <drop> <mine> $
        remove ...1 from ...2 <list>
        <drop> all ...1 <me> <mine>|information
        ^ removal ...1 request|$
        request* ...2 removal
        how ...3 get removed|out
        ^ scrub|forget me $
        your|my|this number|info ...3 remove it
        ^ remove it $
        like|want|wish|ask|asked|asking|need|request|requesting|please ...2 be|been removed|deleted|taken|unsubscribed
        <me> ...2 be removed|deleted
        not ...3 be|being contacted|texted|messaged|called|emailed|solicited
        not contacted|texted|messaged
        rm me|us
        rid of <me> ...1 <mine>
        ^ off ...2 list|lists|database|system
        be|been taken|removed|dropped off|from|out
        have|want|get <me> ...2 <mine> removed|deleted|taken
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
    Rules(
        "English",
        "unsubscribe",
        Meant.STOP,
        """
        unsubscrib*
        un subscribe
        opt|opted|opting|opts ...3 out
        optout|optsout
        cancel|end|stop|terminate|discontinue|quit ...3 subscription|texts|text|alerts|notifications
        cancel|end|stop|terminate|discontinue|quit ...3 messages|sms|updates|reminders|communic*|contact
        turn|shut|switch ...1 these|texts|messages|notifications|alerts ...1 off
        turn|shut|switch off ...2 these|texts|messages|notifications|alerts
        deactivate|disable|mute ...2 texts|messages|notifications|alerts|these
        want out $
        count|leave me out of ...2 <texts>|list|this|these
        did|do not|dont|didnt|never ...1 sign|signed|subscribe|subscribed ...2 this|these|texts|$
        did|do not|dont|didnt|never ...1 enrolled|agreed|agree|ask|asked ...2 this|these|texts|$
        """,
    ),
    Rules(
        "English",
        "go away",
        Meant.STOP,
        """
        leave|let me|us ...1 alone|be
        <texts> ...2 harassment
        this is harassment
        """,
    ),
    Rules(
        "English",
        "anger, threats, strangers",
        Meant.MAYBE_STOP,
        """
        ^ terminate|silence|mute|hush|blacklist $
        blacklist*|ignore|ignoring ...1 my|you|this|list
        number|phone|cell ...1 isnt|not ...1 his|hers|mine|theirs
        she|he|they changed ...1 number|numbers
        anything|nothing ...1 to do with ...1 this|these|<you>|them
        private number|phone|line
        number|phone|line ...1 is|its private
        <texts> ...2 not ...1 allowed|permitted|accepted|welcome
        <dont> read ...1 these|<texts>
        <you>|your|ur|youre ...1 spamming|harassing|bothering|annoying|scamming|stalking ...1 me|us|my|$
        being|are|such|youre ...2 pest|pests|nuisance|stalker|stalkers|creep|creeps|leeches|vultures
        last time ...1 im|i|asking|telling
        no more|further info|information|news|updates
        to <stop> these|this|all ...2 $
        <stop> everything
        want|wish|like|prefer|choose|rather not ...1 to ...1 <text>|get|receive|hear|be
        forbid|prohibit|forbidden <you>|to|from
        allowed|allow to|you ...1 <text>
        enough with ...3 $
        cut|knock this|that|it out|off
        <text> ...1 someone|somebody|anyone|anybody else
        someone|somebody|anyone|anybody else to <text>
        <dont> ask ...1 again|anymore
        no means no
        i ...1 said no $
        no contact list
        as no contact
        one|1|another|single more ...1 <texts>
        another <texts> ...1 and|i|ill|im
        blocking|block|blocked ...3 numbers|number|<texts>
        not ...1 interested in ...1 being|getting|receiving|these|this|your|ur
        not|no|who|without|~ ...4 permission|consent|right|authority ...1 to <text>|use
        prefer|rather|better|nice|great|appreciate ...2 <you> dont|didnt|not|never|stopped ...1 <text>|texting|writing
        grateful|glad ...2 <you> dont|didnt|not|never|stopped ...1 <text>|texting|writing
        no part of|in this|it|these|your
        <texts> ...2 violat*|illegal|unlawful|creepy|weird
        no need ...1 to ...1 send|keep ...1 these|more|anymore|any|me|us|<texts>
        ^ ...1 no|zero interest ...1 $
        ^ off|erase|opt $
        ^ didnt ask $
        will|does|do ...2 this|these|it|they ever end|stop|quit|$
        ~ texting|messaging|spamming me|us|my|$
        how|why did|am|was i ...3 on ...1 this|your ...2 list
        respect|honor|honour my ...1 wishes|privacy|request|decision
        keep|leave|count me|us|my ...2 out of ...1 this|these|it|your
        want|need ...1 nothing|anything ...3 from <you>
        no ...1 longer ...3 at|with|for ...1 this|that ...1 company|number|business
        not on board
        aint|havent|wasnt|werent ...1 <signed>|asked|asking
        aint ...1 interested|wanting|want
        leave|exit|unjoin|quit ...1 the|this|your|ur chat|group|thread|program|list|campaign|conversation
        unjoin|unfollow
        <dont>|not ...1 want|wish|like|care|wanna ...1 to ...1 participate|join|part ...1 of|in|this|$
        not participating $
        turn|shut|switch off ...1 this|these|it|them $
        get ...1 out of this|these|it $
        want|need|like|wish off|out ...3 <list>|this|these|it
        not ...1 want|need|like|wish ...4 <texts>|anymore
        <dont> ...1 use ...2 $
        not|never ...2 your|ur customer|client|voter|member|supporter|patient|student|donor|constituent|friend
        ~ my permission|consent|authorization
        chill|ease|relax|cool|lay|easy ...2 with|off|on ...2 <texts>
        text|message|contact me again ...1 i|ill|im|ima|and|you
        why ...3 texting|messaging|contacting|spamming me|us|my|this|her|him
        not ...1 get|receive|getting|receiving these|<texts>
        hate|despise|loathe ...2 <texts>|these
        save|keep your|ur <texts>
        never again
        waste|wasting ...1 your|ur ...1 time|breath|money
        who|never|not|nobody ...3 gave|give <you>|yall ...2 my|this number|info|phone|cell
        how|where ...3 <you>|yall|this ...1 get|got|find|found|obtain|have ...1 my|this number|info|cell
        ^ block ...1 $
        stfu|gfy|foad
        good on|without ...2 <texts>|these
        do|live without ...2 <texts>|these
        spare me|us
        pass on ...2 <texts>|these
        decline|refuse|reject|object|opposed ...3 <texts>|contact*
        this|its|thats ...1 not|isnt|aint ...2 number|phone|cell ...1 anymore|now|$
        this|its|thats ...2 work|business|company|office|hospital|personal phone|number|cell|line|landline
        wrong girl|lady|woman|contact|recipient|individual|family|people
        get a life
        legal|further action
        without ...1 my consent|permission|knowledge
        report|reporting|sue|suing ...1 <you>|yall
        nobody|noone ...2 signed|asked|consented|agreed
        <dont>|not ...2 <signed> ...1 up|in|to ...2 this|these|it|anything|any|your|$
        <dont>|not ...2 <signed> ...3 <texts>
        not|<dont> ...1 give|gave|given|grant ...2 permission|consent|my
        ^ ...1 go away ...1 $
        ^ get lost $
        how many ...8 stop
        off ...2 list|database|system
        turn|shut|switch it|this|them off
        want off $
        fuck|f|piss|bugger|eff|sod|naff|buzz|feck|back off
        fuckoff
        wrong number|person|guy|phone
        nobody|noone|one ...1 by|with that|this name
        harassment|harassing
        block me from
        block|blocking|blocked|report|reporting|reported ...2 <you>|number|spam|fcc
        ^ ...1 blocked|reported $
        reported blocked
        lawyer|attorney|sue|suing|fcc|ftc ...6 <texts>|<you>
        sick|tired|fed|hate|done|enough|annoyed|annoying ...3 <texts>
        too many|much ...1 <texts>
        <you> text|message|contact|call too
        ^ ...1 not interested ...2 $
        ^ no interest $
        not interested ...3 <texts>
        ^ ...1 do not want $
        ^ no longer interested $
        can <you> not $
        why|still|<you>|i|we keep|still|are|am|do|getting ...2 getting|texting ...1 me|these|this|$
        why|still|<you>|i|we keep|still|are|am|do|getting ...2 sending|messaging|receiving ...1 me|these|this|$
        spammer|spammers|scammer|scammers
        this is spam
        never ...1 signed up
        never ...1 asked for this|these|it
        call|calling|contact|contacting|hear from ...1 lawyer|attorney|fcc|ftc|police|cops
        filing|filed|file ...1 complaint
        child|childs|kid|kids|minors phone|number $
        number|phone belongs to ...1 someone|somebody|another
        no longer ...1 his|her|hers|their|theirs number|phone|cell
        number|phone is no longer|not ...1 his|hers|theirs|in
        not ...1 his|her|their phone|number ...1 $
        doesnt ...1 have|use this number|phone ...1 $
        no longer has|uses|have this number|phone
        on ...1 do not call
        remove consent
        ^ cancel ...1 this|these|all|everything|it|me $
        cancel my number
        ^ cut it out $
        ^ knock it off
        ^ give it a rest $
        ^ enough ...1 $
        ^ stop waking|calling|messing|annoying me|us
        ^ shut up $
        unwanted|unsolicited ...1 <texts>|$
        many times ...3 no|stop
        said to stop
        like|want this|these to end|stop
        wrong no|num $
        this isnt|not him|her|them $
        nobody|noone|one ...1 named|called
        not the person ...3 looking
        ^ ...1 spam|junk ...1 $
        ^ reporting ...1 this|it|spam $
        tired|sick of|to these|this|it $
        ^ <you>|your|ur|youre annoying $
        go to hell
        ^ ...1 mute me $
        suspend ...2 <texts>
        discontinue ...1 service|services|it|this
        that|thats|already enough $
        enough already $
        deceased|minor $
        passed away $
        """,
    ),
    Rules(
        "French",
        "arrêtez, plus de messages",
        Meant.STOP,
        """
        <cesse> de|d me|nous
        <otez>|radiez|rayez|desinscrire|oubliez ...2 moi|mon|nous|coordonnees
        plus aucun|aucune ...1 <envoi>
        ^ arretez|stoppez ...1 $
        <cesse> ...4 <envoi>
        ^ <cesse> ...1 de|avec|vos|tout|ca|sa|tes
        stop ...3 <envoi>
        plus ...3 <envoyez>|recevoir|<envoi>|contacte|contactee
        <envoyez> ...1 plus|rien|jamais
        ne|pas <envoyez> $
        ne pas|plus|jamais ...1 <envoyez>
        ne me texte|ecris|contacte|appelle plus
        aucun|aucune <envoi>
        ne ...1 <envoyez> pas
        veux|souhaite|voudrais|desire ...1 plus ...4 <envoi>|recevoir|contacte*|sollicit*
        veux|souhaite|desire pas ...2 recevoir|contacte*|<envoi>
        pas de <envoi>
        ^ fin de|des|aux <envoi>
        stop tout
        demande|dit|prie|priais ...1 de|d ...1 <cesse>
        dit|demande <cesse>
        de|d <cesse> $
        ^ ...1 <cesse> $
        pouvez|pourriez|voulez ...1 vous <cesse>
        ^ <cesse>|suspendre $
        ne|de ...1 plus ...2 <envoyez>|appeler|recevoir|deranger|rien|etre
        plus ...1 etre derange*|contacte*|sollicit*|appele*
        souhaite|veux|voudrais|aimerais ...1 etre retire*|supprime*|enleve*|desinscri*|efface*
        <envoyez> plus
        ^ plus jamais|rien|aucun ...1 $
        ^ jamais plus $
        plus de promo*
        radiez|virez|supprime|enleve ...1 moi
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
    Rules(
        "French",
        "anger, strangers",
        Meant.MAYBE_STOP,
        """
        avez|as pas|aucun|aucune|jamais ...2 autorisation|permission|consentement|accord|droit
        qui ...3 permission|autorise*|droit
        importun*|derang*|embet*|harcel*|spamm*|sollicit* ...1 plus|pas|jamais
        ^ ...1 suppression|radiation|desabonnement ...1 $
        suis pas ...2 bonne|cette|personne
        numero ...2 plus ...2 celui|numero|mien
        suis ...2 pas|plus ...1 client|cliente|concerne*|interesse*|patient*|adherent*|membre
        lachez affaire
        veux|souhaite|desire|voulons rien ...2 recevoir|savoir|de
        pas|mauvais ...2 bon|bonne|mauvais ...1 destinataire|numero|personne|contact
        annulez|annule|annuler ...1 ca|cela|tout
        <cesse> la $
        jamais|pas|rien ...2 inscrit*|abonne|abonnee|autorise*|consenti*|demande*|accepte*|souscrit*
        jamais|pas ...2 donne* ...2 numero|accord|consentement|autorisation|permission|num
        qui ...3 donne ...1 mon|ce numero|num|contact
        ou|comment ...4 eu|trouve|obtenu|recupere ...1 mon|ce numero|num
        vous|tu|te ...1 trompez|trompes|plante*
        connais pas ...3 numero|personne
        dites stop
        arretez ...1 tout|ca
        epargn* moi|nous
        assez de|recu|vos
        saoul*|gave* ...2 <envoi>
        signale* ...2 spam|33700
        mauvais|faux numero
        erreur de|sur numero|le
        trompez|trompe|trompes ...2 numero|personne
        lachez|lache moi|nous
        ca suffit $
        mauvaise personne
        vos|tes <envoi> ...2 nerv*|agac*|interess*|saoul*|gonfl*|fatigu*|derang*
        pourquoi ...3 <envoi>
        bloctel|33700|cnil|rgpd
        droit ...1 opposition
        suppression|retrait de ...2 numero|donnees|liste*|mon|coordonnees|fichier*
        demande ...2 suppression|retrait|radiation
        plus ...1 importun*
        inutile|peine de ...1 <envoi>|relancer|insister
        oubliez|perdez|oublie moi|mon ...1 numero|$
        oubliez|perdez moi
        numero ...1 est plus
        <envoi> ...1 non|pas desire*|sollicite*|souhaite*|voulu*
        ^ assez|finissez|desabo ...1 $
        assez|trop de ...1 <envoi>
        <cesse> je|vous
        rien ...1 faire
        pas|plus ...4 <envoi>|<envoyez>|recevoir
        <otez> ...5 numero|nom|coordonnees|donnees|liste*|contact*
        plus ...2 interesse*|client|cliente
        est plus ...2 numero
        mauvais destinataire
        ^ retrait $
        numero errone|incorrect
        etes|suis trompe*
        est une erreur $
        veux|voulais pas|plus $
        insistez pas
        ^ marre $
        ai marre $
        ras le bol
        me|nous harcel*
        ^ bloque $
        vous bloque
        foutez|fous le camp
        cassez|casse vous|toi
        pas interesse|interessee $
        pas ...1 mon|la|le bon|bonne|numero ...1 personne|numero
        pas mon numero
        faites ...1 erreur ...2 $
        est|signale|signaler ...1 du|comme|un spam
        ^ resilier|resiliez $
        ca suffit vos|les|avec|de|maintenant
        marre ...3 <envoi>
        harcelement|plainte
        ^ degagez|degage $
        va|allez te|vous faire foutre|voir
        ^ pas interesse|interessee $
        """,
    ),
    Rules(
        "Spanish",
        "no más",
        Meant.STOP,
        """
        no|nunca autorice|autorizo|autorizamos|autorizado
        no quiero|deseo|queremos|necesito mas ...1 $
        no quiero|deseo|queremos ...1 saber ...1 mas|nada
        <borren>|elimin*|borr*|quit* ...1 mi|este|ese|el ...1 numero|contacto|celular|telefono|nombre|cuenta
        me <borren>|quitan|sacan|borran|eliminan|retiran ...1 de
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
        no llamar|escribir ni escribir|llamar
        no envi*|mand* ...2 <mensajes>
        salir de la|su|esta lista
        <dejen> ...1 de|con|a|los ...2 <mensajes>|<manden>|llamar*|joder
        <dejen> ...1 de|con|a|los ...2 chingar|escribirme|mandarme|molestarme|enviarme
        que <dejen> de <manden>
        <dejen>|dejenme|dejame|dejeme ...1 en paz
        ^ basta|paren $
        ^ ...1 paren|pare|parad $
        ^ para $
        dadme|dar|darme|darnos|darse|dese|denme|dame|deme|den|doy|darse ...1 de baja
        solicito|pido|solicitar|solicitud ...1 baja
        quiero|quisiera la|mi|una|darme baja
        ^ stop|alto|baja $
        prefiero|gustaria|deseo|pido|ruego no recibir|<manden>
        no deseo|quiero ...1 sus|tus|de ...1 servicios|<mensajes>
        deteng*|suspendan|suspenda|suspender ...2 <mensajes>|$
        desactivar|desactiven|desactive|desactiva ...2 <mensajes>|$
        basta|<dejen> con|de ...2 <mensajes>|<manden>|molest*|joder
        <dejen> de ...1 fregar|joder|chingar|molestar
        me sacan|saquen|quitan|borran ...3 lista|base|favor
        pueden|puede|podrian|podria ...1 borrar|quitar|eliminar|sacar ...1 $
        me pueden|puede|podrian ...1 borrar|quitar|eliminar|sacar|<borren>
        quiero|pido que|se ...1 elimin*|borr*|quit*
        dar|tramit* ...1 baja
        baja inmediata|definitiva
        alto a|con los|sus|estos <mensajes>
        borr*me
        quit*me
        saqu*me
        sacame|sacarme
        elimin*me
        remuevanme|remuevame|retirenme|retireme|retirame|borrarme|quitarme|eliminarme
        me <borren> ...3 lista|base|$
        ^ <borren> numero|contacto $
        borrame|borrarme|quitarme
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
    Rules(
        "Spanish",
        "anger, strangers",
        Meant.MAYBE_STOP,
        """
        paren|pare|paran de una
        canse|cansaron|cansamos ...2 de ...1 sus|estos|tantos|<mensajes>
        quien ...3 permiso|autorizacion|derecho|autorizo
        no ...2 tienen|tiene|tienes|di|doy ...1 permiso|autorizacion|derecho|consentimiento
        no soy ...2 persona|quien
        numero|celular|telefono|linea ...1 ya no es ...1 de|mio|el|ella|suyo
        no|nunca ...1 soy|somos ...1 cliente|clienta|paciente|socio|socia|alumno|miembro
        parenle|parale|bajenle|bajale
        no ...1 fastidi*|jod*|chingu*|frieg*|acos*|insist*
        cancela|cancele|cancelen|anulen ...1 esto|eso|todo|$
        dejen|deje|dejes|deja de estar|andar
        no|nunca ...1 lleguen|llegue
        no|nunca ...1 pedi|solicite|pedimos ...1 esto|$
        no|nunca|jamas|yo no ...2 suscri*|registr*|inscrib*|autori*|solicit*|consenti*|acept*
        no|nunca|jamas ...2 di|dado|doy|dimos|he ...2 numero|telefono|celular|datos|permiso|consentimiento
        quien ...3 dio|dieron|paso ...1 mi|este numero|telefono|contacto
        donde|como ...3 sac*|consigui*|obtuv*|tien* ...1 mi|este numero|telefono|contacto
        se|te equivocaron|equivoco|equivoca|equivocan|equivocaste ...2 $
        no conozco ...3 numero|persona|senor|senora
        cansad*|hart*|aburrid*|fastidi*|podrid* ...2 de|con|estos|sus|$
        dejen|deje|deja|parad ...1 molest*|insist*|acos*|enviar
        no insist* $
        no ...2 molest* ...1 mas|$
        numero equivocado|incorrecto|errado
        equivocan de
        ^ cancelacion $
        <dejen>|dejenme|dejame tranquilo|tranquila
        no estoy interesad* $
        como spam
        no ...1 sigan|insistan|llamen|busquen|llame ...1 mas|mandando|enviando|escribiendo|$
        como ...3 cancelo|dejo|salgo|desuscribo ...1 esto|de|esta|$
        exijo|pido|quiero la baja
        derecho de|al cancelacion|supresion|olvido|oposicion
        lopd|robinson|profeco|aepd
        <mensajes> no deseados|solicitados|deseado
        demasiados|tantos <mensajes>
        me ...2 cansaron|molestan|acosando|hartan|hartaron
        respeten $
        olvidense|olviden|olvidate|pierdan de|mi|me
        ni me|nos <manden>
        numero|celular|telefono no es ...1 de|mio|suyo
        ya no ...1 tiene este|ese numero
        ya no soy|trabajo|vivo|estoy
        cuantas veces
        ya les|te ...3 baja|stop
        no|nunca ...4 <mensajes>|<manden>|recibir
        no quiero|queremos saber nada
        no me interesa|interesan ...1 recibir|<mensajes>|sus
        <borren>|borr*|elimin*|quit*|saqu* ...4 datos|numero|nombre|contacto|lista
        quitad*|borrad*|sacad*|eliminad*
        numero ya no es
        ^ ...1 eliminar|borrar|quitar|borren|eliminen|elimine $
        me tienen ...1 harto|harta
        estoy hart*
        ya no quiero|deseo $
        quiero anular
        ^ detener|suspender|cancelar $
        que pesad*|fastidio
        dejenme|dejame $
        no jodan|jodas|chinguen|frieguen|insistan
        no ...1 estoy|estuve suscri*
        no|nunca me ...1 suscri*|registre|inscribi
        no conozco este|ese|a este|ese|nadie ...1 numero $
        persona equivocada
        ^ ...1 equivocado $
        voy|vamos a reportar|bloquear|denunciar
        los|te|lo bloqueo|reporto|denuncio
        ^ bloquead* $
        no autorizo $
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
    Rules(
        "German",
        "keine Nachrichten mehr",
        Meant.STOP,
        """
        losch*|entfern*|streich*|nehmt|nehm* ...1 meinen|meine|unsere ...1 namen|kontakt ...2 raus|aus|$
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
        mochte|will|wollen|mochten ...3 nicht ...1 kontaktiert|angeschrieben
        keinen|kein kontakt ...1 mehr|$
        ^ ...1 unterlassen $
        lassen sie ...1 das|es $
        ^ nicht mehr ...1 $
        kontaktier* ...1 mich|uns nicht
        hort|hor damit auf
        konnt|konnen|konnten|kannst ...2 aufhoren
        aufhoren mit|damit
        schluss $
        genug ...1 mit|von
        um loschung
        loschung meiner|meines|der
        nehm*|nimm ...2 meine nummer ...2 raus|heraus
        nehm*|nimm ...1 mich|uns ...1 raus|heraus
        einwilligung|zustimmung ...1 widerruf*
        ^ stop das|dies|diese|diesen
        ^ lass|lasst das $
        raus|austreten aus ...1 verteiler|liste
        bestelle|bestellt|bestellen ...3 ab $
        stop|stoppt|stoppen ...3 <nachrichten>|das
        stoppt das|die|diese
        schluss ...1 damit|mit
        mich|uns ...2 abmeld*
        ^ ...2 abmelden|abmeldung ...2 $
        melden|meldet|melde ...4 ab $
        abbestell*
        kundig* ...4 abo|sms|<nachrichten>
        austragen
        <loschen> ...3 mich|uns aus|von|raus
        <loschen> ...3 verteiler|liste|kartei|datenbank
        losch*|streich*|entfern* ...1 mich|uns
        trag|tragt|tragen ...1 mich|uns ...4 aus
        losch*|entfern*|streich* ...1 meine|diese|unsere|die|meinen ...1 nummer|daten
        losch*|entfern*|streich* ...1 meine|diese|unsere|die|meinen ...1 kontakt|telefonnummer|handynummer
        meine|diese|unsere ...1 nummer|daten|kontakt|handynummer ...2 losch*|entfern*|streich*
        aus|von ...2 verteiler|liste|kartei|datenbank ...1 losch*|nehmen|entfern*|streich*|austragen
        lass* ...1 mich|uns ...1 in ruhe|frieden
        in ruhe lassen
        widerruf* ...3 einwilligung|zustimmung
        widersprech* ...6 daten|werbung|nutzung|verarbeitung|zusendung
        unterlassen|unterlasst ...1 sie|das|es|weitere|diese
        """,
    ),
    Rules(
        "German",
        "anger, strangers",
        Meant.MAYBE_STOP,
        """
        kein interesse ...1 mehr $
        lass|lasst das ...1 sein|bleiben|$
        nichts|nix|nie mehr ...3 horen|lesen|von
        nummer|handy|nr gehort ...1 nicht|jemand
        mochte|will|wollen|bitte ...4 geloscht|gestrichen|entfernt|ausgetragen|abgemeldet
        durfen|darf|durft ...1 mir|mich|uns ...1 nicht|keine ...1 <schreiben>|$
        habt|haben ...1 mir|mich|uns|keine|kein ...1 nicht|keine|erlaubnis|genehmigung|recht ...1 <schreiben>|$
        wer ...3 erlaubt|erlaubnis
        ^ ...1 kundigen|kundige $
        bin nicht ...1 die|der|diese|dieser ...1 person|richtige|richtiger
        bin ...2 kein|keine|nicht ...1 kunde|kundin|mitglied|patient|patientin|interessiert
        beend* ...2 das|dies|<nachrichten>|$
        <nachrichten>|das ...2 einstellen|beenden
        weg damit|mit
        <loschen>|storniert|beendet ...1 alles|das|dies $
        stell* ...1 das|es|diese|die ...2 ab|ein
        nie ...2 bestellt
        nie|nicht|nichts ...2 angemeldet|abonniert|zugestimmt|eingewilligt|angefordert|registriert|erlaubt|gewunscht
        keine|ohne ...1 einwilligung|zustimmung|erlaubnis|genehmigung
        nie|nicht ...1 meine nummer ...1 gegeben|angegeben
        woher ...4 nummer|kontakt
        wer ...4 nummer gegeben
        verschon* ...1 mich|uns|bitte
        erspar* ...1 mir|uns
        verzicht* ...3 <nachrichten>|darauf
        sie|ihr ...2 vertan|geirrt|verwahlt
        nicht ...2 interess* ...3 <nachrichten>|$
        genug ...1 von|davon
        finger weg
        wehe ...3 <schreiben>
        unerlaubt*|unzulassig*|belastigung
        satt $
        falsche|falscher|falschen nummer|person|kontakt
        falsch verbunden
        abmeld*
        nicht ...1 belastig*
        belastig*
        ^ ...1 losch* $
        ^ schluss ...1 $
        ^ widerruf $
        ^ kein interesse ...1 $
        ^ kein bedarf $
        hort doch|bitte|endlich|jetzt auf
        warum|wieso ...5 <nachrichten>|immer|standig
        <nachrichten> ...2 nerven|nervt|storen|unerwunscht|ungewollt*
        will|mochte|brauche keine mehr
        keine mehr ...1 $
        kein kunde|mitglied mehr
        nicht mehr mitglied|kunde
        bin|mochte|will raus $
        ^ raus ...1 $
        nummer ...1 vergess*
        vergess* ...2 nummer
        <schreiben> ...3 loschung
        verlang*|forder*|bitte ...3 loschung|loschen
        verbraucherzentrale|bundesnetzagentur|dsgvo
        melde|meldet euch ...1 $
        ^ gemeldet ...2 $
        unerwunscht*|ungewollt*|unverlangt* ...1 <nachrichten>
        spammt|spammen
        lass|lasst mich ...1 $
        geht|gehen mir ...1 auf die|den
        ^ nervig $
        zu viele|viel ...1 <nachrichten>
        ende der|mit ...1 <nachrichten>
        kein|keine|keinen|nicht|nichts|nie ...4 <nachrichten>
        nicht|nichts|nie mehr ...3 horen|lesen|von
        nichts|nicht mehr ...2 von|horen
        aus|von ...3 verteiler|liste|kartei|datenbank
        losch*|streich*|entfern* ...5 mich|uns|nummer|daten|kontakt
        <loschen> ...5 nummer|daten|kontakt|verteiler|liste
        nummer|daten|kontakt ...4 <loschen>
        abgemeldet
        kein interesse ...1 an|daran ...2 <nachrichten>|ihrer|ihren|eurer|euren
        kein interesse an ihrer|ihren|eurer|euren
        lass|lasst den mist|scheiss|quatsch|das
        <schreiben> ...5 nicht|keine|nie
        ^ ...2 unerwunscht $
        ^ ...1 entfern*|streich* $
        ^ ende $
        ^ genug ...1 $
        ^ ich ...1 kundige|widerspreche $
        leck mich
        geht|geh weg
        nicht meine nummer
        hier ...1 gibt|wohnt es|kein*
        ^ blockiert $
        ich blockiere euch|sie|dich
        ^ kundigung $
        nicht meine|die richtige nummer|person
        nerv nicht
        anzeige ist|raus|erstatten
        mochte|will das nicht $
        abo kundig*
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
    Rules(
        "Portuguese",
        "chega de mensagens",
        Meant.STOP,
        """
        nao quero|desejo|gostaria|queremos ...3 <mensagens>|receber
        nao quero mais $
        nao quero mais nada $
        nao autorizo
        chega ...1 disso|dessas|desses
        nao me|nos <mande>
        nao <mande> ...2 mais|nada|<mensagens>
        nao perturb*|incomod*
        nao ...1 entr* ...1 mais em contato
        nao ...2 entr* em contato
        nao receber ...1 mais
        gostaria|quero|prefiro de|nao ...1 receber|nao
        ^ pare|parem ...1 $
        pare|parem|para|parar|deixem|deixe de|com ...2 <mande>|<mensagens>|receber|isso|spam
        quero parar ...1 de|com|$
        nao quero mais isso
        nao quero|desejo ser|mais contatad*|incomodad*|contato
        nao quero contato
        chega de me
        ^ parar ...1 <mensagens> $
        quero|gostaria de|ser|que ser|removid*|removam|excluid* ...1 removid*|excluid*|meu|$
        quero|desejo|gostaria ...1 ser removid*|excluid*|retirad*
        quero|gostaria ...1 cancelar ...1 <mensagens>
        me <tire> desse|desta|deste|disso|grupo
        remova|exclua|retire|tire me
        exclui|deleta|apaga|bloqueia ...1 meu numero|contato
        esqueca|esquecam|esquece meu numero
        nao aguento ...3 <mensagens>
        chega ...1 de ...1 <mensagens>|isso
        nada de ...1 <mensagens>
        ^ <mensagens> nao $
        ^ sem <mensagens> $
        sair ...2 lista|grupo|cadastro
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
    Rules(
        "Portuguese",
        "anger, strangers",
        Meant.MAYBE_STOP,
        """
        deu de <mensagens>
        nao sou ...1 quem|esse|essa|a|o ...1 pessoa|voces|procura*
        nao ...2 tem|tenho|dei ...1 autorizacao|permissao|direito|consentimento
        quem ...3 permissao|autoriz*|autorizacao
        cansei|cansad*|enjoei|farto|farta ...2 dess*|disso|<mensagens>
        numero|celular|telefone ...1 nao e ...1 mais
        nao|nunca ...1 sou|somos ...1 cliente|paciente|socio|membro
        nao ...1 chatei*|aborrec*|encham|ench*
        cancela|cancele|cancelem ...1 isso|isto|tudo|$
        nao|nunca|jamais ...2 cadastr*|inscrev*|inscrit*|autoriz*|solicit*|assin*|consent*|aceit*
        nao|nunca ...1 dei|passei|forneci|demos|dou ...2 numero|telefone|contato|autorizacao|permissao|consentimento
        quem ...3 passou|deu ...2 meu|esse|este numero|contato|telefone
        onde|como ...3 conseguiram|pegaram|conseguiu|arranjaram|tem|tirou|tiraram ...1 meu|esse numero|contato|telefone
        nao conheco ...3 numero|pessoa
        enchendo|encher|encham ...1 o|saco
        cansad*|chei*|fart* ...2 disso|de|dessas|com ...2 <mensagens>|$
        errado|errada $
        enganaram|enganou|enganado ...1 no|de numero|pessoa
        ^ cancelar|remover|excluir|descadastro|chega|cancela $
        deixa|deixem|deixe ...1 eu|me|nos em paz
        processar voces
        nao|nunca ...4 <mensagens>|receber
        nao preciso|precisamos mais ...2 dess*|das|de|disso
        nao sou|e mais ...2 numero|cliente
        <tire> ...4 numero|contato|nome|lista|cadastro|dados
        numero nao e mais
        favor nao ...1 <mande>
        vou|vamos bloquear|reportar|processar
        ja mandei|enviei|pedi|falei|escrevi ...2 parar|sair|stop|nao
        quantas vezes
        como ...2 saio|cancelo|paro|sair|cancelar ...2 lista|isso|de|$
        nao insist*
        nao encham|encha|preciso|mandem|mande disso|isso|$
        nao sou mais
        nao moro|uso|trabalho mais
        numero|celular nao e ...1 meu|dela|dele
        exclusao|remocao ...1 dos|da|de|meus
        exijo|peco|solicito ...1 exclusao|remocao|cancelamento
        ^ remocao|exclusao $
        procon|lgpd
        <mensagens> indesejad*|demais
        perde*|esquece* meu|o numero
        remove|remova ai
        nunca mais $
        nunca mais me
        larga do meu pe
        ^ sumam|some $
        nao tenho mais interesse
        ^ nao me interessa $
        cansad* ...3 <mensagens>
        ja chega
        quero|desejo|gostaria ...1 sair|cancelar $
        pode|podem parar
        ^ bloque* $
        assedio
        que saco|chatice
        me esquec*
        vao|vai pro|tomar inferno|no
        esse|este numero nao e
        aqui nao e a|o
        errou ...1 numero
        dessa|essas <mensagens> nao
        retir* ...1 consentimento
        me exclui
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
    Rules(
        "Italian",
        "basta messaggi",
        Meant.STOP,
        """
        basta disturb*|contatt*|chiam*
        basta ...2 <messaggi>
        smettetela|smettila
        la smett*
        smett*|smetta di ...2 <scrivere>|romper*|chiamar*
        ^ smett* $
        non <scrivere> ...2 piu|altr*|nulla|niente|$
        non mi|ci ...1 <scrivere>
        non scrivetemi|mandatemi|inviatemi|contattatemi|disturbatemi
        non chiamatemi|scrivermi|inviarmi|mandarmi|contattarmi
        di non <scrivere>
        non voglio|desidero|vorrei|intendo ...2 ricevere|<messaggi>|contattat*
        non voglio ...1 piu niente|nulla|<messaggi>
        non desidero|voglio ...1 essere ...1 contattat*
        niente|nessun|nessuna piu|altro|altra|altri ...1 <messaggi>
        ^ niente|nessun|no ...1 <messaggi> $
        cancellatemi|cancellami|cancellarmi
        mi cancelli|cancellate|tolga|tolgano|rimuova|elimini
        disiscri*
        mi|come ...2 cancello|disiscrivo|tolgo
        toglietemi|toglimi|rimuovetemi|rimuovimi|eliminatemi|eliminami
        <tolga> ...1 il|questo|mio|i|miei|nostro ...1 numero|contatto|nome|nominativo|dati
        <tolga> ...2 lista|elenco|rubrica
        sbagliato cancell*
        cancellazione ...2 dati|numero|iscrizione
        cancella*|annulla* ...2 iscrizione|abbonamento
        lasciatemi|lasciami|lasciateci|lasci in pace
        lasciatemi|lasciami|lasciateci stare
        ^ fermatevi|fermati $
        fermate|fermare ...2 <messaggi>
        interromp*
        stop a|alla|ai|con ...1 <messaggi>
        non voglio|desidero ...2 disturbat*
        non ne voglio
        vorrei|voglio|chiedo|chiediamo|prego ...1 non ...1 ricevere|<scrivere>
        vorrei|voglio|chiedo ...1 essere cancellat*|rimoss*|tolt*|eliminat*
        vorrei|voglio|chiedo ...1 cancellazione|disiscri*
        basta ...1 con ...1 questi|gli|i|le|la <messaggi>
        basta scriv*|romper*|chiam*|mandar*
        basta con ...2 <messaggi>
        potete|puoi|puo smett*
        mai piu <messaggi>
        mi|ci ...1 potete|togliete|cancellate|rimuovete ...1 togliere|cancellare|rimuovere|dalla|dal|da
        potete|puoi|puo toglier*|cancellar*|rimuover*
        levatemi|levami
        rimuov*|elimin*|cancell*|togli* numero|contatto
        disattiva|disattivare|disattivate|disattivi ...2 <messaggi>|$
        disdire|disdico|disdetta ...1 abbonamento|iscrizione|servizio
        revoca|ritiro|nego ...1 consenso
        non ho ...1 dato ...1 consenso
        rimuovere|eliminare|cancellare ...1 numero|contatto
        basta cosi con
        revoco ...2 consenso
        """,
    ),
    Rules(
        "Italian",
        "anger, strangers",
        Meant.MAYBE_STOP,
        """
        posso|possiamo piu ...2 dei|dai|delle|di ...1 <messaggi>|vostri
        detto|chiesto|chiedo|prego di smett*
        di smett* $
        non sono ...1 la|quella ...1 persona
        sbagliando|sbagliate|sbaglia ...1 numero|persona
        non ...1 avete|hai|ha ...2 autorizzazione|permesso|consenso|diritto
        chi ...3 permesso|autorizzat*
        non|mai ...1 sono|siamo|sono stato ...1 cliente|paziente|socio|socia|interessat*
        depenn*
        non ...1 insist*|rompe*|scocci*|stress*
        annullate|annulli|cancellate ...1 tutto|questo|$
        sparire ...2 numero
        non|mai ...3 iscritt*|registrat*|autorizzat*|abbonat*|richiest*|acconsentit*
        non|mai ...2 dato ...3 numero|consenso|autorizzazione|permesso|dati
        chi ...3 dato ...2 mio|questo numero|contatto
        dove|come ...3 preso|avuto|trovato|ottenuto ...2 mio|questo numero|contatto
        non conosco ...3 numero|persona
        avete|ha|hai sbagliato $
        stuf*|stanc* ...3 di|dei|dalle|con ...2 <messaggi>|$
        piantat*|smettet* ...1 di|con|$
        numero sbagliato
        sbagliato numero|persona
        ^ cancellazione|disdetta|cancellare|annulla|disdico|disdire $
        voglio|vorrei disdire
        non ...4 <messaggi>|ricevere
        toglietelo|toglilo|cancellatelo|cancellalo|rimuovetelo|eliminatelo|eliminalo
        <tolga> ...4 numero|contatto|nome|dati|lista|elenco
        numero non e piu
        perche ...3 <messaggi>|scriver*
        <messaggi> ...3 disturbano|fastidio|indesiderat*
        troppi|troppe <messaggi>
        non sono|abito|lavoro piu
        non e ...1 il|piu mio|suo numero
        non e il mio
        cellulare|numero non e suo|mio|di
        diritto di|alla opposizione|cancellazione
        chiedo|richiedo|richiesta|esercito ...3 rimozione|cancellazione|togliermi
        ^ rimozione|uscire $
        togliermi|rimuovermi
        voglio|come ...3 uscire
        fuori dalla|dal lista|elenco
        opposizioni|garante
        indesiderat*|scocciate
        non richiesto|insistete|rompete $
        dimenticate|dimentica|perdete ...2 numero
        dimenticatemi|piantatela|piantala|finitela|finiscila
        fatela finita
        di smetterla
        basta con
        non mi interess* ...2 <messaggi>|ricevere
        non mi interessa piu|$
        non sono piu interessat*
        prego cancellare
        ^ mai piu $
        mai ...2 iscritt*
        andatevene|sparite|sparisci
        rompete|rompendo
        che rottura|palle
        ^ bloccat* $
        vi|ti blocco|segnalo|denuncio
        non e il|questo numero di
        persona sbagliata
        stufato|rotto
        ^ ...3 basta $
        ^ cancella* ...1 $
        denuncio|denuncia|molestia|molestie
        a quel paese
        vaffanculo
        stufo|stufa|stanco|stanca|stufi ...3 <messaggi>
        ^ non sono interessat* $
        ^ non mi interessa $
        """,
    ),
    Rules(
        "all",
        "what is sent",
        Meant.TEXTS,
        """
        text|texts|texting|texted|message|messages|messaging|sms|spam|spamming|contact|alert|alerts|reminder|reminders
        notif*|promo*|marketing|ads|<envoi>|<mensajes>|<nachrichten>|<mensagens>|<messaggi>
        """,
    ),
    Rules(
        "all",
        "a number that is kept",
        Meant.MINE,
        """
        number|phone|cell|numero|num|telefono|telefone|celular|nummer|handynummer|telefonnummer
        datos|daten|dados|donnees|fichier*
        """,
    ),
    Rules(
        "all",
        "another matter",
        Meant.OTHER,
        """
        <other>
        pick up
        """,
    ),
    Rules(
        "all",
        "a question whose answer is a fact",
        Meant.ASKING,
        """
        ^ when|which|does|did|was|were|has|whats
        ^ have you|they|we|the|he|she
        ^ are we|they|the|there|my|these
        ^ who do|can|should
        ^ where is|are|was|can|did|should
        ^ is that|it|he|she|my|your|our|the|school|practice
        ^ what time|day|is|are|happens|about|if|size|kind|color|number
        ^ why did|was|were|is
        ^ wann|wo|ist|sind|hat|gibt|welche|kommt|muss|darf|soll
        ^ quand|ou|quel|quelle|faut|dois
        ^ cuando|donde|hay|cual|tengo|debo
        ^ que horas|hora
        ^ quando|onde|tem|qual|tenho|devo
        ^ dove|quale|a|posso|qual|ce|devo
        """,
    ),
    Rules(
        "all",
        "texts are wanted after all",
        Meant.AGAIN,
        """
        unsubscribe|removed|stopped|opted|opt|stop|hit|sent|typed|texted ...4 accident|mistake|accidentally|error
        accidentally|mistakenly ...2 unsubscribe|removed|stopped|opted|opt|stop
        dont|didnt|wasnt mean|meant|trying to ...1 stop|unsubscribe|opt|cancel|leave|quit
        how ...3 back on|in
        add|put|sign|resubscribe me ...2 back|again
        borre|borro|cancele|mande|envie|di ...3 querer|error
        supprime|desabonne|envoye|annule ...1 par erreur
        versehen|versehentlich ...2 geloscht|abgemeldet|geschickt|gesendet|gestoppt
        apaguei|cancelei|mandei|enviei|descadastrei ...3 querer|engano
        cancellato|mandato|inviato|disiscritto|disiscritta ...3 sbaglio|errore
        text|texts|texting|sms is|are|works ok|okay|fine|better|good|great|best|preferred|easier
        text|texts ...1 instead $
        still want|like|love ...2 <texts> $
        ^ sign me up
        ^ keep texting|sending|messaging me|us $
        ^ i|we ...1 love|like|enjoy ...1 getting|receiving|the|these|your <texts>|these $
        """,
    ),
    Rules(
        "all",
        "help",
        Meant.HELP,
        """
        ^ help|info ...1 me|us|$
        ^ aide|ayuda|hilfe|ajuda|aiuto $
        """,
    ),
)
