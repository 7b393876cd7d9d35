"""What the rover can't do or must not guess: templates of sentences after which it should ask back."""

from __future__ import annotations

from typing import Final

BEYOND: Final = (
    *(
        "(don't|do not|never|you must not|you should not|you mustn't|please don't|no need to|stop trying"
        " to|refuse to|under no circumstances|you can't|avoid to|we don't want you to|there is no need to"
        "|it is forbidden to|not) GOOD",
        "(follow|chase|catch|accompany|escort|guide|lead|carry|lift|help|greet|hug|photograph|film|feed"
        "|count|push|pull|touch|hit|move|clean|wash|paint|sell|buy|fix|open|close|lock|unlock|kick|hold"
        "|grab|bring|take|fetch|deliver|pick up|put down|drop|throw|switch on|switch off|turn on|turn off"
        "|call|ask|tell|remove|measure|weigh|record|copy|break|build|burn|cut|cook|eat|drink|collect"
        "|describe|identify|salute|wake|warn|inform|show|draw|label|remember|forget|rename|delete|avoid"
        "|ignore|leave|repair|empty|fill|connect|load|unload|attach|sort|stack|wrap|warm|cool|shake"
        "|knock at|wave at|smile at|point at|shout at|talk to|listen to|speak to|sing to|dance with|play"
        " with|wait on|work with|sit on|stand on|climb|jump over) (the |a |all |my |some |)THINGY"
        "( to PLACE| in PLACE| from PLACE| at PLACE|)",
    )
    * 4,
    "(bring|take|carry|push|deliver|move|transport|guide|send|lead) (the |a |my |this |)THINGY (to|into|from|"
    "out of|towards|over to) (the |)PLACE( and GOOD|)",
    "(make|cook|brew|get|fetch|buy|bring|give|hand|find|order|show|read|tell|sing|play|send|write) (me|us|him"
    "|her|them) (a |some |the |my |)(coffee|tea|sandwich|joke|story|song|letter|message|picture|map|report"
    "|book|beer|drink|cake|newspaper|movie|music|tool|hammer|pizza|lunch|status|time|news|key)",
    "(what|how|why|when|who|where|which|whose) (is|are|was|were|do|does|did|can|will|would|has|have|should)"
    " (the|you|your|it|my|we|a|this|there|they|PLACE|THINGY) WORD( WORD|)( in PLACE| at PLACE|)",
    "(what|how|why|when|who) (is|are|was) (the |a |your |)(weather|time|day|name|battery|temperature|speed"
    "|problem|plan|matter|status|position|mission|PLACE|THINGY|owner|maker|purpose|age|weight|price|colour)"
    "( like|)( today| now| there| in PLACE|)",
    "(is|are|was|does|do|did|can|has|have|could|will) (the |your |my |a |)(PLACE|THINGY|battery|motor|door"
    "|light|camera) (WORD|open|closed|empty|full|on|off|ok|broken|clean|ready|there|safe|working)",
    "how (much|many|far|fast|long|old|big|warm|cold|high) (is|are|does|do|can|WORD) (WORD|you|it|the PLACE"
    "|the THINGY)( WORD|)( left| now| have| go|)",
    "(go|drive|move|roll) (forward|forwards|back|backwards|straight|ahead|on) (for |by |)NUM (metres|meters|m"
    "|feet|steps|centimetres|cm|inches|yards)",
    "(go|drive|move|roll|back up) NUM (metres|meters|m|feet|steps|cm) (forward|forwards|back|backwards|ahead"
    "|to the left|to the right|left|right)",
    "(go|drive|move|roll|be|get) (faster|slower|quicker|more slowly|at full speed|at NUM metres per second"
    "|at half speed|more carefully|quietly)( in PLACE| to PLACE| now|)",
    "(speed up|slow down|accelerate|go slow|reduce your speed|increase your speed|hurry up|set your speed to"
    " NUM|drive at NUM percent)( in PLACE|)",
    "GOOD (unless|except if|but not if|only if|provided that|although) WORD WORD( WORD|)",
    "GOOD (unless|except if|but not if|only if) (there is |you see |you hear )(a |)THINGY( there|)",
    "(either |)GOOD or GOOD",
    "(go|drive|move|head) (to |)(the |)(PLACE|PLACE) or (to |)(the |)PLACE",
    "(go|drive|patrol|move) (anywhere|everywhere|all places|all rooms|any room) (but|except|other than|besides"
    "|apart from) (the |)PLACE",
    "(stay|keep|get) (away|out|clear|off) (from|of) (the |)(PLACE|THINGY)",
    "(go|drive|get|move) (to PLACE |)without (going through|passing|touching|entering|seeing) (the |)"
    "(PLACE|THINGY)",
    "(avoid|skip|leave out|spare|bypass) (the |)PLACE( on your way to PLACE| this time|)",
    "GOOD (every|each) (hour|day|NUM minutes|morning|night|NUM hours|evening|week|monday)",
    "GOOD (at|before|by|from) (noon|midnight|NUM o ' clock|half past NUM|sunset|lunch time|dawn|NUM am|NUM pm)",
    "GOOD (tomorrow|next week|on monday|on sunday|tonight|in the morning|in the evening|next month)",
    "GOOD for NUM (hours|hour|days|weeks)",
    "(wait|stay|pause|hold) (for |)NUM (hours|hour|days|weeks|months)",
    "(the|a|my|this|our) (PLACE|THINGY) (is|are|was|looks|seems|smells|feels|has) (very |so |not |)WORD"
    "( today| now| WORD|)",
    "(i|we|you|they|he|she) (am|are|is|like|love|hate|saw|heard|think|know|forgot|bought|sold|lost|was|have"
    "|went to|come from|live in|work in|never saw) (a |the |my |your |)(WORD|THINGY|PLACE)( WORD|)",
    "(say|print|write|spell|repeat|translate|pronounce|shout|whisper|announce|sing|read|play) (hello|WORD"
    "|something|the word WORD|my name|a song|a prayer|NUM|SOUND|the SOUND)( to THINGY| in PLACE| NUM times|)",
    "(remember|save|mark|store|call|name|define|learn|add|forget|delete) (this|this place|it|the place|here"
    "|this position|that point)( as PLACE| as WORD| under WORD|)",
    "(switch|turn|put|shut) (on|off|down|up) (the |your |all |)(light|lights|camera|radio|heating|alarm|motor"
    "|microphone|music|power|engine|fan|display|computer|lamp|THINGY)( in PLACE| of PLACE|)",
    "(charge|load|check|save|change|replace) (your |the |)(battery|batteries|power)( to NUM percent| now|)",
    "(dance|sing|jump|fly|swim|laugh|cry|smile|cook|vacuum|clean up|mop|talk|speak|whistle|shut up|self destruct"
    "|say something|go away|get lost|reboot|update|shut down|log in|login|upgrade|restart yourself|explode|hide"
    "|go to hell|wake up|listen up|calm down|cheer up|hurry up|behave|work harder|be nice|good morning|good night"
    "|hello|hi there|thank you|thanks a lot|yes|no|maybe|ok|well|who are you|how are you|test|hmm|bye|what|why"
    "|help me|i see|nice work|bad robot|good robot|sorry|never mind|please|come in|sit down|stand up|go upstairs"
    "|climb the stairs|take the lift|use the elevator|park backwards|do a somersault|play dead|roll over|fetch)",
    "(if|when) (you |there is |it |)(WORD|THINGY|PLACE) (WORD|is WORD)( ,|) (WORD|call me|tell me|shout|run"
    "|ring the bell|take a picture|warn us|make a noise|wake me|flash your lights)( WORD|)",
    "(call|warn|wake|alert|tell|inform|phone|notify) (me|us|the police|everybody|the guard|THINGY|the office)"
    " (when|if|as soon as|before|that|about) (you see |you hear |there is |)(a |)THINGY( in PLACE|)",
    "WORD",
    "WORD WORD",
    "WORD WORD WORD",
    "WORD WORD WORD WORD WORD",
    "WORD (the |)PLACE",
    "WORD WORD (the |)(PLACE|THINGY)",
    "the WORD PLACE WORD( NUM|)",
    "PLACE WORD WORD",
    "NUM( NUM| WORD|)",
    "WORD NUM( WORD|)",
    "GOOD and (make|cook|fetch|bring|sing|take|open|close|count|clean|call|tell|push|greet|follow|ask|carry|pick"
    " up|switch on|switch off|photograph|warn|shout) (me |the |a |us |)(WORD|THINGY|PLACE)( WORD|)",
    "(open|close|clean|count|call|fetch|switch on|photograph|follow|pick up|carry|grab|take|ask|greet) (the |a |)"
    "(THINGY|WORD)( ,|) (and|then|and then) GOOD",
    "(backwards|forwards|up|down|north|south|east|west|upwards|inside|outside)( NUM metres| a bit| slowly|)",
    "turn (up|down|into|on|off|over|NUM|it WORD|a bit WORD|the page|the key|red|blue|upside down|the music down)",
    "turn (the |)THINGY (left|right|around|on|off)",
    "(go|drive|move) (up|down|through|under|over|behind|between|past|around) (the |a |)(stairs|wall|table|door"
    "|THINGY|roof|WORD)",
    "(when|how soon|why|how) (do|did|will|should|would) (you|we|they) GOOD",
    "(did|have|were|had) you (GOOD|ever GOOD|see THINGY|hear SOUND|find THINGY|been to PLACE)( today| yesterday|)",
    "(i|we|they|he|she) (will|would|can|could|did|must|shall|should|might) GOOD( too| later| WORD|)",
)
"""GOOD is a sentence it could carry out; WORD any word, THINGY a thing or any word, NUM a number."""

WORDS: Final = tuple(
    "time year people way day man thing woman life child world school state family student group country"
    " problem hand part case week company system program question work government number night point house"
    " water room mother area money story fact month lot right study book eye job word business issue side kind"
    " head service friend father power hour game line end member law car city community name president team"
    " minute idea kid body information back parent face others level office door health person art war history"
    " party result change morning reason research girl guy moment air teacher force education foot boy age policy"
    " music animal nice old good new first last long great little own other big high different small large next"
    " early young important few public bad same able green blue red yellow black white round flat deep hot cold"
    " dry wet soft hard sharp sweet sour bitter loud quiet rich poor tall short thin thick wide narrow heavy light"
    " strong weak clean dirty easy simple early late funny sad happy angry afraid brave calm proud silly sleepy"
    " be have do say get make go know take see come think look want give use find tell ask seem feel try leave"
    " call need become put mean keep let begin help talk turn start might show hear play run move like live believe"
    " hold bring happen write provide sit stand lose pay meet include continue set learn lead understand watch"
    " follow stop create speak read allow add spend grow open walk win offer remember love consider appear buy"
    " wait serve die send expect build stay fall cut reach kill remain apple bread butter cheese chicken egg fish"
    " fruit meat milk orange potato rice salt soup sugar tea tomato bag bed bottle bowl bridge brush bucket camera"
    " candle card carpet chair clock cloud coat comb cup curtain desk dish drawer engine farm finger fire floor"
    " flower fork garden glove hammer hat horse island jacket jewel key knee knife lamp leaf lip lock map match"
    " moon mouth nail needle nose nut oven parcel pen pencil picture pig pin pipe plane plant plate plough pocket"
    " pump rail rat ring rod roof root sail screw seed sheep shelf ship shirt shoe skin snake sock spade sponge"
    " spoon spring square stamp star station stem stick stocking stomach store street sun table tail thread"
    " throat thumb ticket toe tongue tooth town train tray tree trousers umbrella wall wheel whip whistle window"
    " wing wire worm very really almost always never sometimes often again maybe perhaps quite rather too here"
    " there away down under above yesterday weather paper password internet summer winter politics tennis football"
    " zebra quickly xylophone banana computer piano violin question because however without against between".split()
)
