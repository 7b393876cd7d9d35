"""How commands may be worded: templates, as data.

`(a|b|)` is a choice, also an empty one. Words in capitals are filled in: PLACE, THING, SOUND with a
name; ROUNDS, SECONDS, MINUTES, DEGREES, X, Y with a number; the others with one of the PARTS.
Templates that don't end in _SAID begin with a verb in its base form.
"""

from __future__ import annotations

from typing import Final

GO: Final = (
    *("MOVE TO THEPLACE",) * 6,
    *("VISIT THEPLACE",) * 3,
    "MOVE (there |)TO THEPLACE (where|because) (we|i) (need|want|expect) you",
    "be (at|in|over at|over in|down at|down in|up in) THEPLACE",
    "(go|come|return|head|get|drive|move|go back|come back|turn back|get back|roll) PLACE",
    "(go|come|head) (on |)(over|down|up|back|along|across|out|round) to THEPLACE",
    "(get|move|bring|take|drive|steer|haul) (yourself|the robot|the rover|your wheels|it) TO THEPLACE",
)
GO_POINT: Final = (
    *(
        "MOVE TO (|the point |point |position |the position |coordinates |the coordinates |location )XY",
    )
    * 4,
    "(VISIT|reach|approach) (the point |point |position |coordinates |the spot |)XY",
    "be at XY",
)
XY: Final = (
    "((|x )X( and | , |, | |, y | y | and y |/)Y|(X, Y)|x = X , y = Y|x equals X and y equals Y)"
)
GO_SAID: Final = (
    "(off|now|on|back|over|down|up|straight|away|forward) (with you |)TO THEPLACE",
    "(you are|you're|your help is) (wanted|needed|expected|required|awaited) (in|at|over at|down in)"
    " THEPLACE",
    "(we|i|they|somebody) (need|want|would like|wish|expect|could use) you (to be |)(in|at|over at|down"
    " at|over in|up in|back in|back at|inside) THEPLACE",
    "(i|we) (want|would like|wish|love) to (see|have|find|meet) you (in|at|over in|back at) THEPLACE",
    "(i|we) (will |)(meet|see|wait for|expect) you (in|at|over at) THEPLACE",
    "(your|the) (next |new |)(stop|destination|target|goal|place|position|task|aim) is (now |)THEPLACE",
    "(destination|target|goal|next stop|position|next)( :|) THEPLACE",
    "THEPLACE( , | |)(is where you (should|must|have to) (go|be)|is your (next |)(stop|goal|target)"
    "|is next|is where (i|we) (need|want) you|now|at once|as fast as you can|would be good|)",
    "to THEPLACE( now| at once| as quick as you can| with you|)",
    "(how|what) about (THEPLACE|a trip to THEPLACE|a visit to THEPLACE)",
    "see you (in|at) THEPLACE",
    "(there is|we have) (a meeting|work|something to do|a job) (for you |)(in|at) THEPLACE( , go there|"
    " , so go there|, drive there)",
    "THEPLACE (needs|is waiting for|wants) you",
    "where is THEPLACE , (go|drive|get) there",
    "do you know THEPLACE , (go|drive|get) there",
    "(have you|did you|can you) (been to|see|seen|visit|reach|find) THEPLACE (yet |)?"
    " (go|drive|get|move|head) there",
)
PATROL: Final = (
    *("GUARD THEPLACE",) * 4,
    "(patrol|drive around|walk around|move around|go round|keep watch|be on guard|do your rounds"
    "|make your rounds|stand guard|make rounds|go patrolling|cruise) IN THEPLACE",
    "make sure (that |)THEPLACE is (safe|secure|secured|guarded|watched)",
    "see that (nothing happens|all is well|everything is fine) in THEPLACE",
)
PATROL_ROUNDS: Final = (
    *("GUARD THEPLACE ROUNDS (times|times|times over|times in a row|LAPS)",) * 3,
    "(do|make|drive|run|complete|take|go|perform|patrol|finish|ride|carry out|walk) ROUNDS (LAPS) (IN|of)"
    " THEPLACE",
    "go (round|around|through|along|up and down) THEPLACE ROUNDS (times|times in a row|LAPS)",
    "go for ROUNDS LAPS (IN|of) THEPLACE",
)
ROAM_ROUNDS: Final = (
    "ROAM ROUNDS (times|times|times in a row|LAPS)",
    "(do|make|drive|run|complete|take|go|perform|patrol|finish|walk) ROUNDS (more |full |whole |complete |"
    "of your |quick |)(LAPS)",
    "go round ROUNDS times",
)
PATROL_SAID: Final = (
    "(time|it is time|we are ready) for (your |a |the |)(rounds|patrol|tour|watch)( in THEPLACE| of THEPLACE)",
    "(your|the) (job|task|duty|mission|work) (for today |now |)is (to guard|to patrol|to watch|guarding"
    "|patrolling|watching|to secure|to keep watch over) THEPLACE",
    "(i|we) (want|need|would like) (a patrol of|a patrol in|a guard in|a watch over|rounds in|eyes on)"
    " THEPLACE",
    "THEPLACE (must be|has to be|should be|needs to be|wants) (guarded|patrolled|watched|secured|monitored"
    "|looked after)",
    "THEPLACE needs (guarding|watching|a guard|a patrol|an eye on it|a watchman)",
    "you are (on duty|on guard|on patrol|on watch|the guard) in THEPLACE",
    "patrol( duty|) (in|,|:) THEPLACE",
)
ROUNDS_SAID: Final = (
    "THEPLACE ROUNDS (times|rounds|laps)",
    "ROUNDS (LAPS) (IN|of) THEPLACE",
    "(time|it is time) for (your |)(rounds|patrol) , ROUNDS (of them|times|rounds|in all) , in THEPLACE",
    "(i|we) (want|need|would like) ROUNDS (LAPS) (IN|of) THEPLACE",
    "(your|the) (rounds|patrol) in THEPLACE , ROUNDS (times|of them)",
)
SEEK: Final = (
    *("SEEK ATHING",) * 2,
    *("SEEK ATHING IN THEPLACE",) * 2,
    "(search|comb|check|scan|sweep|go through|look through|look around|patrol|survey|scour|examine"
    "|rummage|inspect|look about in) THEPLACE (for|to find|in search of|and look for|and find|looking for)"
    " ATHING",
    "(look|see|check|find out|go and look|go and see|go see) (if|whether) (you can find|there is|you see"
    "|there might be) ATHING (in|at|around) THEPLACE",
    "(look|see|check|find out) (if|whether) ATHING is (in|at|around) THEPLACE",
    "GUARD THEPLACE and (look|search|watch|check) for ATHING",
    "look in THEPLACE for ATHING",
)
SEEK_SAID: Final = (
    "(i|we) have lost ATHING (, |and |so )(look|search) (in |)THEPLACE( for it|)",
    "where is ATHING ?( look in THEPLACE| search THEPLACE| try THEPLACE)",
    "(i|we) (think|believe|guess) ATHING is in THEPLACE , (go and |)(find it|look for it|search for it)",
    "(is there|there might be|there may be|there must be) ATHING in THEPLACE ?"
    " (go and |)(look|find it|see|check|find out|search)",
    "ATHING must be (somewhere |)in THEPLACE , (go and |)(look|find it|search|look for it)",
)
HALT_WHEN: Final = (
    *("TILL",) * 5,
    "(and|, and|, but|,|and then) HALT WHEN",
    "(and|, and|, but|,) HALT WHEN",
    "(and|, and|,) HALT (only |)after",
    "HALT WHEN",
)
AS_LONG_AS: Final = (
    "(as long as|while|so long as) (you don't|you do not|you can't|nobody can) VERB_A NAME"
)
WAIT_SECONDS: Final = (
    *("STAY FOR SECONDS PERIOD",) * 4,
    "give (it|us|me|them|yourself) SECONDS PERIOD",
)
WAIT_MINUTES: Final = (
    *("STAY FOR MINUTES MINUTE",) * 4,
    "give (it|us|me|them|yourself) MINUTES MINUTE",
)
WAIT_SECONDS_SAID: Final = (
    "(a |)(break|pause|rest|stop) of SECONDS PERIOD( now|)",
    "SECONDS PERIOD (break|pause|rest|of rest|of waiting)",
    "(no|no more) (moving|driving|movement|motion) for SECONDS PERIOD",
    "have SECONDS PERIOD of (rest|peace)",
)
WAIT_MINUTES_SAID: Final = (
    "(a |)(break|pause|rest|stop) of MINUTES MINUTE( now|)",
    "MINUTES MINUTE (break|pause|rest|of rest|of waiting)",
    "(no|no more) (moving|driving|movement|motion) for MINUTES MINUTE",
)
WAIT_SEES: Final = (
    *("STAY TILL SEES",) * 3,
    "wait (for|for|on) ATHING( to (come|appear|show up|turn up|arrive|come by|come into view|be there)|)",
    "(keep watching|watch|look out|stay and watch|look ahead) TILL SEES",
)
WAIT_HEARS: Final = (
    *("STAY TILL HEARS",) * 3,
    "wait for ASOUND( to (sound|go off|ring|start|come|be heard)|)",
    "listen (for ASOUND|TILL HEARS)",
    "(keep listening|stay and listen|keep your ears open) (for ASOUND|TILL HEARS)",
)
TURN: Final = (
    *("TURN SIDEDIRECTION",) * 4,
    "(make|take|do|hang|go) a DIRECTION( turn|)",
    "(look|face|turn) (to |towards |)your DIRECTION( side| hand side|)",
)
TURN_DEGREES: Final = (
    *("TURN( by|) DEGREES (degrees|degrees|degrees|degree|deg) SIDEDIRECTION",) * 2,
    *("TURN SIDEDIRECTION( by|) DEGREES (degrees|degrees|deg)",) * 2,
    "(make|do|take|give me) a (DIRECTION turn of DEGREES degrees|DEGREES degree turn SIDEDIRECTION"
    "|turn of DEGREES degrees SIDEDIRECTION)",
)
TURN_SAID: Final = ("(now |and |)DIRECTION( now| turn| please|)", "a DIRECTION turn( now|)")
VERBLESS_ASK: Final = (
    *("BODY",) * 10,
    "(ok|okay|alright|right|so|well|now|hey|hi|hello|robot|rover|hey robot|good|fine|listen|and|um"
    "|uh|quick|next|look|attention|buddy|my friend|hey you|come on)( ,|) BODY",
    "BODY( ,|) (now|then|ok|okay|for me|will you|would you|right away|right now|quickly|immediately"
    "|at once|if you can|if possible|my friend|robot|rover|again|if you like|when you can|today|soon"
    "|as fast as you can|straight away|for a start|buddy|if you don't mind|would be nice|as usual)",
)
VERB_ASK: Final = (
    *("VERB",) * 14,
    "(could|can|would|will|won't|could) you (VERB|please VERB|VERB now|VERB for me|kindly VERB)( ?|)",
    "(i|we) (want|need|would like|ask|order|command|expect|told|wish|'d like) you to VERB",
    "(i'd|we'd) (like|want) you to VERB",
    "you (should|must|can|may|have to|need to|are to|ought to|could|might|will|shall|had better)"
    " (now |)VERB",
    "(let's|let us|let me see you|please|just|simply|now|do|go ahead and|be so kind as to|try to|quickly"
    "|also|always|kindly|go and|be good and|make sure to|your order is to|you are asked to"
    "|it is time to|time to|it's time to|i think you should|maybe you should|remember to|see to it that"
    " you|help me and|be a dear and|feel free to|you are free to|start to|begin to|get ready to|hurry to"
    "|could i ask you to|can i ask you to|may i ask you to|it would be good to|it would be nice if you"
    "|why don't you|why not|better) VERB",
    "(your|the) (job|task|mission|order|duty|work|next job|next task|assignment) is to VERB",
    "(would you mind|how about|what about|start|begin|keep|do you mind|consider|i suggest|you should be"
    "|think about|go on|it is about) GERUND( ?|)",
    "(ok|okay|alright|right|so|well|now|hey|hi|hello|robot|rover|hey robot|good|fine|listen|um|uh"
    "|quick|next|look|attention|buddy|come on|and)( ,|) (you |)VERB",
    "VERB( ,|) (now|then|ok|okay|for me|will you|would you|right away|right now|quickly|immediately"
    "|at once|if you can|if possible|my friend|robot|rover|again|if you like|when you can|today|soon"
    "|as fast as you can|straight away|for a start|buddy|if you don't mind|would be nice|as usual)",
)
CONTEXT: Final = (
    "(the floor is wet|it is late|i am tired|we are busy|it is cold|there was a noise|we have guests"
    "|the others are waiting|i have no time|the work is done|the way is free|everything is ready"
    "|we are ready|i am back|all is well|the boss is coming|it is dark|the lights are out"
    "|something happened|i heard something|nobody is there|they are waiting|dinner is ready|it is time"
    "|the meeting is over|this is urgent|that was good|very good|well done|thank you|i am sorry"
    "|we need help|we are in a hurry|i am leaving|you did well|i'm busy here|nobody is here)"
    "( so| ,| ;| .| and| , so) BODY",
)
JOIN: Final = (
    *("ONE and then TWO", "ONE then TWO", "ONE , then TWO", "ONE and TWO", "ONE , and TWO") * 3,
    "ONE , TWO",
    "ONE . TWO",
    "ONE ; TWO",
    "ONE , and then TWO",
    "ONE . then TWO",
    "ONE( ,|) after (that|this|which) (you |)TWO",
    "ONE and after (that|this|it) TWO",
    "ONE( ,|) (afterwards|afterward|next|later|subsequently|thereafter|finally|and finally|lastly"
    "|and next|and afterwards|and later|in the end|at last) TWO",
    "(first|first of all|to begin|start by|firstly|at first) ONE( ,|) (and then|then|and|after that"
    "|afterwards|next|later|second|secondly) TWO",
    "ONE( ,| and|) (when|once|as soon as|after) (you are|you're|that is|this is|it is|that's|you have"
    "|you get) (done|finished|through|ready|there|over|complete|completed)( with it| with that|)"
    "( ,|) TWO",
    "ONE and (on arrival|when you arrive|when you get there|once you are there|once there) TWO",
    "before (you |)TWO( ,|) (you should |you must |first |please |)ONE",
    "before TWOING( ,|) (first |)ONE",
    "TWO( ,|) (but|only|just) (first|before that|before|first of all) (you |)ONE",
    "TWO after (you are done |)ONEING",
    "(after|when you are done|when done|on finishing|following) ONEING( ,|) TWO",
    "after you (have |)(are done with |finished |)ONEING( ,|) TWO",
    "when you (are |have )(done|finished|through)(with|) ONEING( ,|) TWO",
    "ONE( ,|) followed by TWOING",
    "ONE( ,|) (and |)(finish|end|close|end up|conclude) by TWOING",
    "ONE to TWO",
    "ONE and (only |)then (do you |you |)TWO",
    "ONE so you can TWO (after|later|next|)",
    "ONE( ,|) (as well as|plus|and also|also) TWO",
    "ONE before (you TWO|TWOING)",
)
REORDERED: Final = tuple(form for form in JOIN if form.index("TWO") < form.index("ONE"))
"""Here what is said first is done last."""
TRIGGER: Final = (
    "WHEN CONDITION( ,|) (you |then |please |)TWO",
    "WHEN CONDITION( ,|) TWO",
    "TWO WHEN CONDITION",
    "wait TILL CONDITION( ,| and|) then TWO",
    "TWO( only| but only|) (after|once|when) CONDITION",
    "(listen|watch|look out|wait) and WHEN CONDITION( ,|) TWO",
)
ELIDED: Final = {
    "go go": (
        "(MOVE TO|VISIT) P_ONE( ,|) (and|and then|then|, then|, and|and after that|, after that|next) P_TWO",
        "(MOVE TO|VISIT) (first P_ONE|P_ONE first) (and|and then|then|, then|, and) (to |)P_TWO",
        "MOVE TO P_ONE( ,| and|) (then |and then |from there |after that |next |)(on |back |over |)to P_TWO",
        "P_ONE first( ,|) (then|and then|and|after that|, then) P_TWO( second|)",
        "first P_ONE( ,|) (then|and then|and|after that|, then) P_TWO",
        "(MOVE TO|VISIT) P_TWO (via|by way of|through|over|but via|past|passing|passing by|by|after) P_ONE",
        "(take|drive|use|go) (the way |the route |the road |)(via|by way of|past|through) P_ONE to P_TWO",
        "(on your|on the) way to P_TWO( ,|) (VISIT) P_ONE",
        "VISIT P_ONE on (your|the) way to P_TWO",
        "from P_ONE (go|drive|move on|proceed|continue|head)( on| over|) to P_TWO",
        "(MOVE TO|VISIT) P_ONE( ,|) followed by P_TWO",
        "P_ONE (and|, then|and then|then|,) P_TWO",
        "MOVE TO P_ONE and (end|finish|end up|stop|park|stay) (at|in) P_TWO",
        "(once|when|after|as soon as) (you have|you've|you) (been to|visited|reached|seen|got to|were at"
        "|are at|are in|leave|left|checked|arrive at) P_ONE( ,|) (MOVE TO|VISIT) P_TWO",
    ),
    "go go go": (
        "(MOVE TO|VISIT) P_ONE , P_TWO (and|and then|, then|, and|, and finally) P_THREE",
        "(MOVE TO|VISIT) P_ONE , then P_TWO( ,|) (and|then|and then) P_THREE",
        "P_ONE , P_TWO (and|, then|then|,) P_THREE( in this order| in that order|)",
        "(MOVE TO|VISIT) P_ONE( ,|) then P_TWO( ,|) and (finish|end|end up|stop) (at|in) P_THREE",
        "(MOVE TO|VISIT) P_ONE( ,|) followed by P_TWO (and|and then) P_THREE",
    ),
    "go wait": (
        "(wait|stay|pause|rest|stand|park|remain|go wait|go and wait|go and stay|stand by|sit|hang around|idle"
        "|spend some time|linger) (in|at|inside|over at|near) P_ONE WAITING",
        "(MOVE TO|VISIT) P_ONE WAITING",
        "(MOVE TO|VISIT) P_ONE and (stay|wait|be|remain|stand) (there|in it|at it) WAITING",
        "go and (wait|stand|stay) (in|at) P_ONE WAITING",
        "spend W_TIME (in|at) P_ONE",
        "(keep|hold) (your position|still) (in|at) P_ONE WAITING",
        "P_ONE( ,|) WAITING",
    ),
    "wait go": (
        "(MOVE TO|VISIT) P_TWO (in|after) W_TIME( time| from now|)",
        "in W_TIME( ,| time|) (MOVE TO|VISIT) P_TWO",
        "after W_TIME( ,|) (MOVE TO|VISIT) P_TWO",
        "W_TIME (from now|later)( ,|) (MOVE TO|VISIT) P_TWO",
        "(MOVE TO|VISIT) P_TWO but not before W_TIME( have passed| are over|)",
    ),
    "turn turn": (
        "turn D_ONE( ,|) (and|then|and then|, then) D_TWO",
        "(make|take) a D_ONE( ,|) (and|then|and then) (another |a )D_TWO",
        "D_ONE (and|then|and then) D_TWO",
    ),
    "patrol patrol": (
        "GUARD P_ONE R_ONE times (and|, then|and then) P_TWO R_TWO times",
        "do P_ONE R_ONE times and P_TWO R_TWO times",
        "GUARD P_ONE (and|, then|and then|then|and also) P_TWO",
        "(do|make|drive) R_ONE (LAPS) (of|in|around) P_ONE and R_TWO (of|in|around) P_TWO",
    ),
    "patrol go": (
        "(start|begin) (in|at|with) P_ONE with R_ONE (LAPS)( ,|) and (end up|end|finish|stop) (at|in) P_TWO",
        "GUARD P_ONE (and|,|and then) (MOVE TO) P_TWO (when|once|as soon as) C_ONE",
        "GUARD P_ONE and (MOVE TO) P_TWO (when|once|as soon as|if) C_ONE",
        "GUARD P_ONE( ,| and|) (when|once|as soon as|if) C_ONE( ,|) (MOVE TO|VISIT) P_TWO",
    ),
}
"""Two or three steps that share words; which, is told by the verbs of the steps."""
