"""Words that mean the same, as data: what the capital words of `phrases.py` stand for."""

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
