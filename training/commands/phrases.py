"""How commands may be worded: templates, as data.

`(a|b|)` is a choice, also an empty one. Words in capitals are filled in: PLACE, THING, SOUND with a
name; ROUNDS, SECONDS, MINUTES, DEGREES, X, Y with a number; the others with one of their PARTS.
Templates that don't end in _SAID begin with a verb in its base form.
"""

from __future__ import annotations

from typing import Final

PARTS: Final[dict[str, str]] = {
    "TO": "(to|to|to|to|to|over to|over to|down to|up to|back to|on to|across to|along to|round to"
    "|right to|straight to|out to|through to|towards|toward|into|off to|as far as)",
    "THEPLACE": "(the |the |the |the |our |)PLACE",
    "ATHING": "(a |a |a |an |any |the |some |another |)THING",
    "ASOUND": "(a |a |a |an |any |the |some |)SOUND",
    "SIDEDIRECTION": "(|to the |to the |to the |to your |to the |towards the |on the )DIRECTION",
    "IN": "(in|in|in|in|around|through|at|inside|of|along|across|throughout|within)",
    "FOR": "(for|for|for|for|for|for about|for exactly|for some|for a good|for at least|for another"
    "|for the next|a full|)",
    "PERIOD": "(seconds|seconds|seconds|second|sec|secs|s)",
    "MINUTE": "(minutes|minutes|minutes|minute|min|mins)",
    "LAPS": "(rounds|rounds|laps|times|times|tours|round|lap|circuits|loops|patrols|passes|turns"
    "|runs|trips)",
    "SPOT": "(see|see|see|spot|notice|find|detect|discover|come across|meet|run into|encounter"
    "|can see|have found|have seen|have spotted|catch sight of|happen upon|observe|recognise"
    "|get to see|locate|bump into|identify|make out|have in view|stumble upon)",
    "APPEARS": "(shows up|appears|turns up|comes into view|comes along|comes by|arrives|is there"
    "|is in sight|is visible|walks by|comes in|enters|is near|gets near|is around|comes up"
    "|passes|passes by|is in view|shows its face|pops up|emerges|can be seen|has come|is here)",
    "LISTEN": "(hear|hear|hear|hear|can hear|notice|have heard|catch|detect|pick up"
    "|hear the sound of|recognise|get to hear|are hearing|perceive|make out)",
    "SOUNDS": "(sounds|goes off|rings|starts|can be heard|is heard|goes|is sounding|begins|wails"
    "|comes|is audible|blares|echoes|rings out|happens|is to be heard|is triggered|breaks|sets in)",
    "TILL": "(until|until|until|till|til|up to the moment|up to when|up until|until the moment)",
    "WHEN": "(when|when|if|once|as soon as|the moment|whenever|in case|the second|the instant"
    "|right when|as|immediately when|at the moment|directly when|only when)",
    "HALT": "(stop|stop|halt|freeze|stand still|end|come to a halt|stop moving|break off|quit"
    "|stop there|finish|hold|stop it|come to a stop|stay put|pull up|that is when you stop)",
    "SEES": "(you SPOT ATHING|you SPOT ATHING|you SPOT ATHING|ATHING APPEARS|ATHING APPEARS"
    "|there is ATHING( ahead| in sight| in view| in front of you| nearby| around|)"
    "|your camera shows ATHING|ATHING gets in your way|there are THING( in sight|)|seeing ATHING"
    "|you are looking at ATHING|you think you see ATHING|your eyes find ATHING|spotting ATHING"
    "|ATHING is in front of you|ATHING stands( there|) before you)",
    "HEARS": "(you LISTEN ASOUND|you LISTEN ASOUND|you LISTEN ASOUND|ASOUND SOUNDS|ASOUND SOUNDS"
    "|there is ASOUND|there is a sound of SOUND|hearing ASOUND|your microphone picks up ASOUND"
    "|something SOUND|it SOUND|anything SOUND|a noise like SOUND( is heard|)|you hear something SOUND"
    "|SOUND is in the air|a SOUND sound comes up|the noise of SOUND reaches you)",
    "MOVE": "(go|go|go|go|go|drive|drive|drive|head|head|move|move|roll|travel|proceed|navigate"
    "|run|walk|make your way|find your way|take yourself|bring yourself|get yourself|get|get|come"
    "|come|return|return|hurry|rush|continue|trundle|motor|ride|cruise|steer|wander|advance"
    "|relocate|transfer|shift|set off|set out|make a trip|be so good as to go|turn up|step|skip"
    "|hop|slip|push on|carry on|report|direct yourself|haul yourself|drop|swing|dash|race|speed"
    "|take a drive|take a trip|back up|retreat|withdraw|retire|fall back|migrate|make a move|nip"
    "|betake yourself|deploy|crawl|float|take off|zoom|leave|depart|start)",
    "VISIT": "(visit|visit|reach|see|enter|approach|pay a visit to|call at|stop at|stop by"
    "|stop off at|drop by|drop in at|swing by|pass by|come by|go by|look in at|look in on|head for"
    "|make for|aim for|seek out|go for|be at|be in|wait for me at|appear at|appear in|park at"
    "|park in|park yourself at|park yourself in|station yourself at|position yourself at"
    "|place yourself in|put yourself in|settle in|arrive at|get into|end up at|end up in|stand at"
    "|take up position in|take position at|occupy|have a look at|take a look at|go and see"
    "|go and look at|go see|check on|check out|go check|inspect|turn up in|show up in|join us in"
    "|join me in|meet us at|find me in|come and see me in|pop into|pop over to|duck into|dock at"
    "|go and stand in|go stand at|turn your wheels to|set course for|get going to|follow the way to"
    "|take the way to|drive yourself to|hit|try|be present in|have yourself in|touch)",
    "GUARD": "(patrol|patrol|patrol|patrol|guard|guard|watch|watch over|keep watch over|monitor"
    "|secure|supervise|survey|sweep|police|scan|protect|cover|observe|tour|circle|roam"
    "|keep an eye on|look after|go round|go around|walk around|drive around|drive round|walk|cruise"
    "|do the rounds of|make the rounds of|be on patrol in|be on guard in|go on patrol in"
    "|go patrolling in|keep guard in|stand guard over|make your rounds in|do your rounds in"
    "|run a patrol in|do a patrol of|make a tour of|do a tour of|take a tour of|do a lap of"
    "|do a round of|run through|drive up and down|go up and down|walk up and down|wander around"
    "|move around|move about in|drive through|go back and forth in|go to and fro in|traverse"
    "|keep moving around|keep going round|keep an eye over|oversee|keep the peace in|check up on"
    "|go over|drive your rounds in|run your rounds in|start a patrol of|begin a patrol in"
    "|carry out a patrol of|perform a patrol of|make a sweep of|do a sweep of|explore|loop through"
    "|have a look around|take a look around|have a drive around|make a circuit of|range over"
    "|keep tabs on|be the guard of|see to the safety of|act as a guard in|work your way around)",
    "ROAM": "(patrol|patrol|go on patrol|do your rounds|make your rounds|do the rounds|be on patrol"
    "|start your rounds|start your patrol|begin your patrol|begin your rounds|start the patrol"
    "|go patrolling|keep watch|be on guard|stand guard|do a patrol|make a patrol|run a patrol|guard"
    "|do your usual rounds|take your usual round|do your tour|go on your tour|make a tour"
    "|drive around|move around|look around|walk around|wander around|roam|cruise around"
    "|go round|do a round|drive your rounds|drive your route|follow your route|run your route"
    "|go along your route|do the patrol|take up your patrol|be a guard|play the guard|watch out"
    "|do your guard duty|go on duty|start your shift|take your round|cover your route|do your beat"
    "|go on your beat|go on watch|be on the watch|keep guard|police the place|guard this place"
    "|guard the building|patrol the place|secure the site|sweep the area|watch over the site"
    "|keep an eye on things|look after the place|do a security round|do a security tour)",
    "SEEK": "(look for|look for|search for|search for|find|find|try to find|go and find|go find"
    "|locate|hunt for|hunt down|seek|seek out|track down|look out for|go looking for|watch for"
    "|keep an eye out for|watch out for|be on the lookout for|try to locate|go and look for"
    "|scout for|drive around to find|patrol to find|spot|try to spot|go in search of|discover"
    "|keep looking for|have a look for|take a look for|go and search for|go hunting for|detect"
    "|scan for|check for|look around for|go and get a look at|show me|find me|go after|find out"
    " where there is|figure out where there is|see if you can find|see if there is|check if there is"
    "|check whether there is|tell me where there is|get sight of)",
    "STAY": "(wait|wait|wait|wait|stay|stay here|stay there|stay put|stay where you are|stay in place"
    "|pause|pause|hold|hold on|hold still|hold your position|hang on|hang around|hang about"
    "|stand still|stand there|stand by|stand|just stand|remain there|remain here|remain|linger"
    "|rest|have a rest|take a rest|take a break|have a break|take a pause|make a pause|be still"
    "|be idle|idle|sit|sit there|sit still|sit tight|stop|halt|do nothing|keep still|keep calm"
    "|keep waiting|be quiet|relax|sleep|have a nap|take a nap|delay|freeze|park|wait here"
    "|wait there|wait around|remain where you are|remain in place|keep your position"
    "|stay as you are|stick around|stop moving|don't move|do not move|don't do anything|don't go on"
    "|don't budge|do not budge|stay still|keep standing|break|be patient|loiter|chill|cool down"
    "|cool your heels|hold your horses|stay motionless|be at rest|dwell|bide your time)",
    "TURN": "(turn|turn|turn|turn|rotate|rotate|spin|swing|swivel|pivot|steer|face|look|twist|veer"
    "|turn yourself|rotate yourself|make a turn|take a turn|do a turn|go|wheel|turn your nose"
    "|turn your head|point|point your nose|bear|bend|curve|head|yaw|revolve|reorient yourself)",
    "ROUND": "(turn around|turn around|turn round|turn back|spin around|spin round|swing around"
    "|swing round|face the other way|look the other way|turn the other way|do a u-turn"
    "|make a u-turn|u-turn|about turn|about face|do an about turn|do an about face"
    "|make an about-turn|rotate around|rotate right round|turn your back|look behind you|look back"
    "|face backwards|face the opposite way|face the opposite direction|turn to the opposite side"
    "|reverse your direction|reverse direction|reverse|change direction|point the other way"
    "|turn on the spot|turn yourself around|flip around|pivot around|wheel around|wheel round"
    "|swivel round|turn half around|do a half turn|make a half turn|twist around|look around behind"
    "|turn about|do a turnaround|turn to face the other way|head the other way"
    "|show your back|turn backwards|flip round|turn it around|make a complete turnabout)",
    "CEASE": "(stop|stop|stop|halt|halt|freeze|stand still|stop moving|stop driving|stop it"
    "|stop right there|stop there|stop right now|stop now|stop immediately|stop at once|hold it"
    "|stop that|hold everything|come to a stop|come to a halt|stay|stay there|stay here|stay put"
    "|stay where you are|stay right there|don't move|do not move|do not move any more|don't go on"
    "|don't move an inch|do not go any further|don't continue|hit the brakes|brake|brake now|pull up"
    "|put on the brakes|quit|quit it|quit moving|abort|abort the mission|abort it|cancel|cancel it"
    "|cancel the mission|cancel the patrol|cancel everything|drop it|drop everything|end it|end the"
    " mission|end the patrol|end your patrol|interrupt your mission|give up|cease|cease moving|cut"
    "|finish the mission|break off|break off the mission|call it off|stand down|halt right there"
    "|leave it|let it be|no further|be still|freeze right there|stop what you are doing"
    "|stop your mission|forget it|forget the mission|forget about it|emergency stop|shut it down"
    "|stop the patrol|stop patrolling|no more|that is enough|that will do|enough|not another inch"
    "|whoa|whoa stop|stop stop stop|stop the mission|keep still|terminate|terminate the mission"
    "|wait here|hold your position|hold|hold on|discontinue|stop dead|stop your wheels|park right"
    " there|remain here|remain where you are|stick to where you are|suspend the mission|pause"
    "|pause the mission|pause the patrol|it is enough|you can stop now|you are done|don't go anywhere)",
    "RESUME": "(continue|continue|continue|resume|resume|carry on|carry on|go on|go on|keep going"
    "|proceed|keep moving|keep on|keep it up|move on|move along|drive on|keep driving|keep patrolling"
    "|go on patrolling|continue the patrol|continue your patrol|continue your mission|continue with"
    " it|continue the mission|resume the mission|resume your mission|resume your patrol|resume it"
    "|resume work|resume your work|carry on with it|carry on with your mission|carry on working"
    "|carry on as before|carry on with the patrol|proceed with it|proceed as planned|proceed as"
    " before|proceed with the patrol|go on with it|go on with your mission|go on with your work"
    "|go on with the patrol|go back to work|go back to what you were doing|get back to work"
    "|get back to it|get going again|start again|start moving again|restart|continue as before"
    "|continue from where you stopped|continue where you left off|pick up where you stopped"
    "|pick up from where you were|pick it up again|take it up again|keep at it|keep working"
    "|keep on going|unfreeze|end the pause|end your break|go ahead|go right ahead|move again"
    "|drive again|get moving again|get moving|press on|push on|stay at it|don't stop"
    "|do what you were doing|do what you did before|do it again from where you stopped|go on then"
    "|return to your mission|return to your task|return to work|return to what you were doing"
    "|finish what you started|finish your mission|finish your task|complete your mission"
    "|be on your way again|off you go again|end the wait|back on your way|take up your work again)",
}

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
    *("MOVE TO (|the point |point |position |the position |coordinates |the coordinates |location )XY",)
    * 4,
    "(VISIT|reach|approach) (the point |point |position |coordinates |the spot |)XY",
    "be at XY",
)
XY: Final = "((|x )X( and | , |, | |, y | y | and y |/)Y|(X, Y)|x = X , y = Y|x equals X and y equals Y)"
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
AS_LONG_AS: Final = "(as long as|while|so long as) (you don't|you do not|you can't|nobody can) VERB_A NAME"
WAIT_SECONDS: Final = (*("STAY FOR SECONDS PERIOD",) * 4, "give (it|us|me|them|yourself) SECONDS PERIOD")
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
        "(MOVE TO|VISIT) P_ONE (in|after) W_TIME( time| from now|)",
        "in W_TIME( ,| time|) (MOVE TO|VISIT) P_ONE",
        "after W_TIME( ,|) (MOVE TO|VISIT) P_ONE",
        "W_TIME (from now|later)( ,|) (MOVE TO|VISIT) P_ONE",
        "(MOVE TO|VISIT) P_ONE but not before W_TIME( have passed| are over|)",
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
