--- trim_rules: the phrases that `trim` takes out of prompts, by language.
--
-- Data, nothing else.  Where a phrase may go:
--
--     start    at the beginning of a sentence
--     lead     the same, and behind a comma, at the beginning of a clause
--     tail     at the end of a sentence, behind a space or a comma (~ in front: behind anything;
--              a comma in front: behind a comma only)
--     whole    where it is a whole clause or sentence
--     content  goes never: says that behind the colon comes what is to be worked on
--     mention  goes never: says that the sentence speaks about words; then only a lead goes
--     task     goes never: says that the text itself is to be worked on, wherever it stands; then
--              only what is in front of it in its sentence goes
--     below    goes never: says that behind the empty line below its sentence comes what is to be
--              worked on
--     greeting goes only by `whole`: where a later paragraph or line begins with it, that is
--              somebody's letter or a dialogue, and stays
--     order    goes never by itself: a repeated line goes only when it begins with it
--
-- In a pattern, (a|b) is one of them, [a|b] one of them or nothing, a space any white
-- space; at its end !(a|b) says what must not follow, at the front of a tail what must not
-- stand in front.
--
-- What belongs here is what says nothing about the task: courtesy, thanks, praise,
-- appeals, hedges.  What does not: words that limit (only, at most, every), negations
-- (the matcher refuses them anyway), conditions (if you have time), what says how or when
-- (honestly, in simple words, today, then), questions, and phrases that also begin something
-- else.  请 alone is none, because of 请假 and 请求.

local M = {}

-- Whom somebody else is to help: 帮我妈写, 请你同学来.
local others = "们|妈|爸|爷|奶|外|姐|哥|弟|妹|儿|女|孩|朋友|同学|同事|老|家|公司|自己|的|男|侄|舅|叔|姑|姨|婆|公公|先生|太太|宝|"
  .. "客户|室友|导师|领导|丈夫|妻子|媳妇|闺蜜|哥们|邻居|亲戚|表|堂|部门|团队|小组|小|大|二|三|四|班|猫|狗|对象|前任|上司|主管|"
  .. "经理|助理|秘书|律师|医生|父|母|岳|学生|学员|员工|伴侣|恋人|爱人|伙伴|搭档|单位|学校"
-- What only the one who asks can do: "help me sleep" is no "sleep".
local own = "戒|减肥|减重|瘦|睡|请假|打给|打电话|走出|忘|放下|记住|理解|搞懂|弄懂|弄清|学会|学好|坚持|克服|摆脱|度过|熬过|准备|变|提高|存钱|赚|"
  .. "考上|考过|通过|早起|放松|冷静|下定决心|道歉|向|跟|和|与|让|把握"
local yours = "stop|quit|sleep|lose |gain|get |become|be |feel|understand|decide|prepare|study|learn|win |pass |remember|"
  .. "find my|find a way|focus|relax|survive|cope|deal |move |overcome|grow|save |earn|make money|make friends|pay|practice|practise|"
  .. "train|wake|fall |stay|keep |live|die|kill|breathe|eat |drink|grieve|forgive|forget|let go|talk |break |convince|persuade|"
  .. "recover|heal|manage|succeed|master|memorize|memorise|escape|reach|achieve|handle|face |out |,|in |with |on |to become|to stop|to quit|to sleep|to lose|to get|to be |to feel|to under|to deal|to learn"
-- Whom one pleases: "can you please everyone".
local pleased = "me |me,|please my |everyone|everybody|your |my |his |her |their |our |him |them |us |both |people|the crowd|customers|or |and "

-- Parts of the phrases below.
local very = "very|really|so|ever so|hugely|massively|immensely|super|extremely|incredibly|truly|absolutely|deeply|genuinely|eternally|forever|most|totally|highly|greatly|"
local fine = "great|good|nice|wonderful|lovely|fantastic|amazing|beautiful|pleasant|awesome|excellent|blessed|productive|fabulous"
local aid = "help|time|assistance|support|effort|efforts|understanding|attention|patience|cooperation|consideration|guidance|advice|input|"
  .. "insight|insights|wisdom|feedback|suggestions|reply|answer|expertise|kindness|generosity|service|hard work|work|thoughts|tips|ideas"
local dear = "kind|great|amazing|wonderful|valuable|continued|precious|generous|quick|prompt|invaluable|kind and patient"
local silly = "silly|stupid|dumb|basic|weird|odd|strange|naive|obvious|simple|long|rambling|confusing|foolish|random"
local great = "great|awesome|amazing|helpful|appreciated|wonderful|fantastic|perfect|lovely|incredible|brilliant|super helpful|much appreciated"

M.en = {
  start = {
    "[okay|ok|so|well|anyway] [,] (um|uh|umm|er|hmm) ,",
    "(first of all|first off|to start with|to begin with|firstly) , i just (wanted|want) to say that",
    "[well|so|okay|ok|alright|now] [,] (basically|essentially|actually|frankly|to be honest|to be frank|as you know|as you may know|as you can see|as i mentioned [earlier|above|before]|as mentioned [earlier|above|before]|needless to say|in other words|if you will|if i may) ,",
    "(basically|essentially) !(illiterate|equivalent|identical|equal|free|sound|correct|true|false|wrong|unchanged)",
    "(first of all|first off|to start with|to begin with) ,",
    "so ,",
    "(ok|okay|alright|well) ,!(thank|thx|many thanks|please|cheers|great)",
    "(as an|being an|since you are an|since you're an|as you are an) (expert|advanced|intelligent|helpful|ai) [ai] [language] (assistant|model|system) ,",
    "(just|i just) wanted to (ask|say|mention|let you know) that",
    "(for what it's worth|in my humble opinion) ,",
    "i (was|am|'m) [just] wondering (if|whether) you (could|can|would|might) help me [out] [to|with|by]!(not |" .. yours .. ")",
    "i (was|am|'m) [just] wondering (if|whether) it (would|might) be possible for you to [please|kindly|perhaps|possibly]",
    "(i'm|i am) (hoping|looking) (that you could|for you to) [please|kindly]!(" .. pleased .. ")",
  },
  lead = {
    "(could|can|would|will) you (please|kindly) [please|kindly|perhaps|possibly|maybe]!(" .. pleased .. ")",
    "(could|would|can) you (perhaps|possibly|maybe)!(be |have |know |ever |already |still )",
    "(could|would|can) you (be so kind as to|be kind enough to|be willing to)!(not |lend |give )",
    "(could|would|can) you (mind helping me|help me [out] [to|by])!(not |with|by not|to not|" .. yours .. ")",
    "[and|so|also] (please|pls|plz|kindly)!(:|,|find attached|see attached|yourself|the crowd|people|old|is |was |are |were |means |thank|" .. pleased .. ")",
    "(help me [out] [to|by]|assist me in)!(not |or |by not|to not|" .. yours .. ")",
    "(go ahead and|take the time to|take a moment to|be so kind as to|be aware that|keep in mind that|bear in mind that|do me a favor and|do me a favour and)!(not |or |don't|is |was |breathe|rest)",
    "note that!(down|for|one|as |in |on |and|or |to |at |[,.;])",
    "[so|and|now] [,] (i would|i'd|we would|we'd) [really|very much|truly|greatly|kindly] (like|love|want) (you to|for you to)!(know |meet|be |have |come |join|see )",
    "[so|and|now] [,] (i would|i'd|we would|we'd) [also] [really|very much|truly|greatly|kindly|highly] (appreciate it|be grateful|be thankful|be so grateful|be very grateful|be happy|be glad|be delighted|be very thankful|be very happy|be so happy) if you (could|would|can)",
    "(i would|i'd) [really|very much] like to (kindly|politely|humbly) (ask|request) (you to|that you)",
    "(i am|i'm) (writing|reaching out|contacting you) (to|because i would like to|because i want to) (kindly|politely) (ask|request) (you to|that you)",
    "[so|and|now|basically] [,] (i need|i want|we need|we want) you to!(know |meet|be |have |come |marry|join|see |stay|understand|hear|believe)",
    "(it would|it'd) be (really|very|so|absolutely|) (great|nice|helpful|wonderful|lovely|awesome|fantastic|appreciated|much appreciated|ideal|super helpful) if you (could|would|can)",
    "i (hope|trust|believe) [that] you (can|could|will|would) [be able to] (help|assist) me (with|in) (this|that) [task|request|matter] (and|by)!(that|this|these|those)",
    "(what i (would|'d) like you to do is|what i need you to do is|what i want you to do is) [to]",
    "(it is|it's) (worth noting|worth mentioning|worth pointing out|important to note|important to mention|good to know) that",
    "(it should be noted|i should mention|i should note|i want to mention|i would like to mention|i'd like to mention|i would like to point out|please be advised|please be informed) that",
    "(i think|i guess|i feel like|i suppose) it would be (nice|good|great) if you could",
    "[basically|essentially|so|anyway|honestly] [,] what (i'm|i am) (trying to say|getting at) is [,] [that]",
    "[so|and|now] [,] (i would|i'd|we would|we'd) [really|absolutely|truly|also] love it if you (could|would|can)",
    "[so|and|now] [,] (i would|i'd|we would|we'd) [also] be (" .. very .. ") (grateful|thankful|appreciative|happy) if you (could|would|can)",
    "(it would|it'd) be (" .. very .. ") (" .. fine .. "|helpful|cool|perfect|ideal|incredible) if you (could|would|can)",
    "(would|will|is) it be [at all|even] possible for you to [please|kindly]",
    "(is there any chance|is there a chance|any chance|do you think) [that] you (could|can|might) [be able to] [please|possibly|maybe|kindly]!(be |have |know |ever |already |still |not )",
    "(would|will) you [please|kindly] be able to!(not )",
    "[and|but|so] i (was|am|'m) [just] wondering (if|whether) you (could|can|would|might) (please|kindly|perhaps|possibly) [please|kindly] [help me [out] [to|with|by]]!(be |not )",
    "[and|but|so] i (was|am|'m) [just|really] (wondering|hoping) (if|whether|that) you (could|can|would|might) [please|kindly|perhaps|possibly|maybe] be able to [please|kindly]!(" .. pleased .. "|help |not )",
    "[and|but|so] i (was|am|'m) [just|really] (wondering|hoping) (if|whether|that) you (could|can|would|might) [please|kindly|perhaps|possibly|maybe] be able to help me [out] [to|with|by]!(not |" .. yours .. ")",
    "i should be (most|very|much) obliged if you (could|would)",
  },
  tail = {
    "!(is|are|was|were|be|been|being|say|says|said|saying|you|they|we|i|he|she|to|not|n't|will|would|can|could|may|might|must|should|or|and|with|without|the|a|an|no|of|as|than|like|word|words|called|named|about|:|=|+|\"|means|mean|write|print|type|define|translate|spell|use|using|add|adding|only|just|by|for|in) (please|pls|plz)",
    ", (please|pls|plz|kindly|if you please|if you would|if you could|if you would be so kind|if that's okay|if that is okay|if that's ok|would you please|could you please)",
    "(thanks|thank you|many thanks|thx) (so much in advance|very much in advance|a lot in advance|in advance)",
    ", [and] [many|so many] (thanks|thank you|thx|cheers) [so much|very much|a lot|a bunch|a million|a ton] [again] [in advance]",
    ", [and] [many] (thanks|thank you) [so much|very much|a lot|again|in advance] for (your|the) [kind|great|valuable] (help|time|assistance|support|effort|understanding|attention|patience)",
    "(to the best of your (ability|abilities|knowledge)|as best (as you can|you can)|the best (way|that) you can)",
    ", [and|but] (i would|i'd) (really|greatly|very much|truly|) appreciate it",
    ", (as you know|as you may know|so to speak|if you will|if you know what i mean|you know|to be honest|basically|essentially|in my humble opinion)",
  },
  whole = {
    "(hi|hello|hey|greetings|good (morning|afternoon|evening|day)) [there|all|everyone|again|team|friend|my friend|assistant|ai|chatgpt|claude|gpt|dear assistant|dear ai]!(, world|, kitty)",
    "dear (all|everyone|team|friend|assistant|ai|chatgpt|claude|gpt|sir or madam)",
    "[and|so] (thank you|thanks|many thanks|thx|a big thank you|big thanks|huge thanks) [so much|very much|a lot|kindly|a million|a ton|a bunch] [again] [in advance]",
    "[and] (thank you|thanks|many thanks) [so much|very much|a lot] [again] [in advance] for (your|all your|all of your|the|taking the) [kind|great|amazing|wonderful|valuable|continued|precious] (help|time|assistance|support|effort|efforts|understanding|attention|patience|cooperation|consideration|hard work|work) [and [your] (help|time|assistance|support|effort|understanding|attention|patience|cooperation|consideration)] [on this|with this|in advance|in this matter|to help me|to read this]",
    "(thank you|thanks) [so much|very much|a lot] [again] [in advance] for (helping [me|us] [out] [with this]|reading [this|all this|all of this]|listening|everything|understanding|doing this)",
    "[and] (i|we) [really|truly|sincerely|greatly|deeply|very much|so] (appreciate|value) [all of|all] (it|this|that|your (help|time|assistance|support|effort|efforts|work|hard work|patience|attention|understanding)) [and [your] (help|time|support|effort|patience|attention|understanding)] [very much|so much|a lot|in advance|with this|on this]",
    "(i|we) (would|'d) (really|truly|greatly|be|very much|so|) (appreciate|appreciate it|be (very|so|really|truly|extremely|) (grateful|thankful)) [very much|so much] [for (this|your help|your help with this|any help)]",
    "(any help|your help|your assistance|your support|this|it) (would be|will be|is) (very|really|so|greatly|highly|much|truly|) (appreciated|welcome)",
    "[i|and i] hope (you are|you're|that you are|that you're|all is|everything is) [doing|going] (well|great|fine|good|okay|having a (great|good|nice|wonderful|lovely) (day|week|morning|afternoon|evening|one))",
    "i hope this [message|email|note|request] finds you [doing] (well|in good health|in good spirits)",
    "(how are you|how are you doing|how is it going|how's it going|hope you are well|hope you're well|hope you are doing well|hope you're doing well) [today|these days]",
    "[and|so] [please] take (your time|as much time as you need|your time and do your best|your time with this|your time with it)",
    "(i know|i'm sure|i am sure|i am confident|i'm confident|i believe|i trust|i have faith|i am certain|i'm certain) [that] (you can do it|you can do this|you will do (great|a great job|an amazing job|an excellent job|well|fine)|you'll do (great|a great job|an amazing job|an excellent job|well|fine)|you can handle (it|this)|you are up to (it|the task)|you're up to (it|the task)|you will do your best|you'll do your best|you are the best|you're the best|you are capable of (it|this)|in you)",
    "(you are|you're) (the best|amazing|awesome|so (smart|helpful|talented|kind))",
    "[and] (i believe in you|i trust you|i trust your (judgment|judgement|expertise|abilities|skills|experience)|i have (full|complete|total|great|) (faith|trust|confidence) in you [and your (skills|abilities|expertise)]|i am counting on you|i'm counting on you|we are counting on you|we're counting on you|[our|the] [whole|entire] team is counting on you|my boss is counting on you)",
    "(this|it|the (task|request|project|result|outcome|answer|text)) (is|means) (really|very|so|extremely|incredibly|super|absolutely|truly|quite|) (important|critical|crucial|vital|a lot|the world) (to|for) (me|us|my career|my job|my team|our team|my company|our company|my boss|the (team|company|whole team|whole company|entire team|entire company|business))",
    "(this|it) (is|means) (really|very|so|extremely|incredibly|super|absolutely|truly) (important|critical|crucial|vital|much)",
    "(my|our) (job|career|success|future|reputation|whole career|entire career|business) (depends|relies|hinges|is riding) on (it|this|you|your answer|the result)",
    "[so|very|really] (sorry|i'm [so|very|really] sorry|i am [so|very|really] sorry|apologies|my apologies|i apologize|i apologise|pardon me|excuse me) [to (bother|trouble|disturb) you] [for (the (bother|trouble|inconvenience|long message|long text|long prompt)|bothering you|troubling you|taking your time|taking up your time|my english|asking)] [again|in advance]",
    "(i look forward to|looking forward to|i'm looking forward to|i am looking forward to) (your (answer|reply|response|help|result|results|work)|hearing from you|hearing back from you|seeing (it|the result|the results|your answer|your work)|reading it) [soon]",
    "(best|kind|kindest|warm|warmest|with best|with kind) (regards|wishes)",
    "(yours (sincerely|truly|faithfully)|sincerely|cheers|have a (great|good|nice|wonderful|lovely) (day|one|evening|weekend|week)|many blessings)",
    "(please|pls|pretty please|please and thank you|if you please|if you would be so kind|if that is okay|if that's okay|if that's ok|if it is okay with you|if it's okay with you|at your earliest convenience)",
    "(please|kindly) [try to] (do your [very|absolute] best|give it your [very|absolute] best|give it your all|try your [very|absolute] best|work hard on (this|it)|put your heart into it|make me proud|help me|help us|help me with this|help me out|help|be patient with me|bear with me|take this seriously)",
    "(please|kindly|make sure to|please make sure to|please be sure to) (read|study|review|go through|consider) (everything|this|it|(my|the|these|all|all of my) (request|requirements|instructions|message|prompt|instructions below|requirements below|details|details below)) [very] (carefully|attentively|thoroughly|closely|patiently) [before (you (answer|start|begin|write|reply|respond)|answering|starting|writing|replying)]",
    "(i know (this|it) is a lot to ask|i know you are busy|i know you're busy|i hope (that makes sense|this makes sense|that is okay|that's okay|that is clear|this is clear|i was clear|you understand|that helps)|thanks for understanding|you know what i mean)",
    "(you are|you're) (a|an|the) [very|highly|extremely|truly|really|incredibly] (smart|intelligent|clever|brilliant|talented|gifted|amazing|wonderful|powerful|knowledgeable|helpful) (assistant|ai|model|helper) [and i (trust|believe in|admire|appreciate) you]",
    "(i have always|i've always|i have long|i) (admired|loved|enjoyed) your (work|answers|writing|help)",
    "(let's|let us) (get started|begin|do this|go|dive in|get to it|get into it)",
    "(here we go|that being said|having said that|that said)",
    "(i am|i'm) [so|very|really|super|truly] (grateful|thankful|happy to have you)",
    "(i am|i'm) (so|very|really|super|) (excited|curious|eager|happy) to (see|read|hear) (it|this|what you (come up with|write|think|say)|the result|your answer)",
    "[and] i (hope|trust) [that] (you are|you're) (doing [really|very] (well|great|fine|good|okay)|having a [really|very] (" .. fine .. ") (day|week|morning|afternoon|evening|time|weekend|one) [so far|today])",
    "[and] (i hope|hope) [that] (you had|you've had|you have had) a (" .. fine .. ") (day|week|weekend|time|morning) [so far]",
    "[and] [i] hope [that] (this|my) (message|email|note|letter|request|prompt) finds you (well|in good health|in good spirits|in great health) [and that (you are|you're) (well|doing well|having a (" .. fine .. ") (day|week|time))]",
    "[and] (have|enjoy|wishing you|i wish you) [a|an|the] [really|very|absolutely|truly] [" .. fine .. "] (day|one|evening|weekend|week|morning|afternoon|night|rest of your (day|evening|week|weekend)|rest of the (day|week)) [ahead|too|as well]",
    "[and|but|so|anyway|anyways|once again|again] [,] [many|so many|a million|tons of|with many|with] (thanks|thank you|thank u|thx|tysm|cheers) [thank you|thanks] [thank you|thanks] [so very much|so much|very much|kindly|sincerely|a lot|a bunch|a ton|a million|loads|heaps|tons|ever so much|from the bottom of my heart] [again] [in advance|in anticipation|already]",
    "[and|so|once again|again] [,] [many|with many] (thanks|thank you) [so very much|so much|very much|kindly|a lot|a million] [again] [in advance] for (your|all your|all of your|the|any|all the|taking the) [" .. dear .. "] (" .. aid .. ") [and [for] [your|all your|the] [" .. dear .. "] (" .. aid .. ")] [you (can|could) (offer|give|provide|share)] [on this|with this|in advance|in this matter]",
    "[and] (thank you|thanks) [so very much|so much|very much|kindly|a lot] [again] [in advance] for (taking the time to (read|help|look at|answer|consider|review) [my|this|all of this|through] [message|request|email|question|it|me]|considering (this|my request)|all you do|everything you do|being so (kind|patient|helpful)|bearing with me|your time and for your help) [and for your (help|time|patience)]",
    "[and|but|so] (i|we) (would|'d|will|'ll) [really|truly] (be (" .. very .. ") (grateful|thankful|appreciative|indebted to you)|appreciate (it|this|that|your help|any help|any (" .. aid .. ")|anything)) [very much|so much|a lot|greatly|immensely|more than you know] [for (any (" .. aid .. ")|your (" .. aid .. ")|this|that)] [that you (can|could|might) (offer|give|provide|share|spare)|you (can|could|might) (offer|give|provide|share|spare)] [me] [on this|with this]",
    "(any|your) (" .. aid .. ") [at all] [you (can|could) (offer|give|provide|share)] [on this|with this|here] (would be|will be|is|are) [more than] (" .. very .. ") (" .. great .. "|welcome)",
    "[anyway|anyways|so] [,] (whatever|anything) you can (come up with|think of|do|suggest|offer|provide|share) (would|will) be (" .. very .. ") (" .. great .. ")",
    "[honestly|seriously] [,] (you are|you're|you've been) [seriously|honestly|truly|literally|really|simply] (an|a|the|my|such a|such an) [absolute|real|true|total|actual|literal] (lifesaver|life saver|legend|star|gem|angel|genius|hero|champ|rockstar|godsend|treasure|wizard|saint|miracle worker|superstar)",
    "[and] your (work|answers|code|writing|output|advice|knowledge|expertise|skills|responses) (is|are) [always|simply|truly|absolutely|consistently] (flawless|perfect|amazing|brilliant|outstanding|impeccable|unmatched|unparalleled|incredible|excellent|legendary|top notch|world-class|invaluable|superb|remarkable|second to none)",
    "(this|it|that) (means|would mean|will mean) (so much|the world|everything|a great deal|a lot|more than you know) to (me|us|my family|my team|our team)",
    "[and] my (whole|entire) (career|job|future|life|grade|degree|promotion|reputation) (depends|relies|hinges|is riding|rides) on (this|it|you)",
    "[and] (i am|i'm|we are|we're) [totally|completely|absolutely|really|all] (relying|depending|counting) on you [here|for this]",
    "[and] (i am|i'm) [totally|completely|really|so|absolutely] desperate [here|for help|for your help]",
    "[and] i (really|desperately|urgently|badly) need (your help|some help|help) [with this|here|on this|asap]",
    "[and|seriously] [,] i owe you (one|big time|big|a coffee|a beer|my life|a drink)",
    "(i am|i'm) (going to give|about to give|giving) you (a|an) (" .. very .. ") (important|critical|crucial|challenging|special|difficult) (task|job|assignment|mission|request)",
    "[so] [,] i [just] have (a|an|one) (" .. very .. ") [quick|small|little|tiny|simple|big|huge|special|strange|weird|important|kind of a] (question|favor|favour|request) [for you|to ask [you|of you]]",
    "[so] [,] (i would|i'd|i want to|i wanted to|can i|could i|may i|i need to|let me|i just wanted to) [like to] ask [you] (a|one|another) [quick|small|little|simple|huge|big] (question|favor|favour|thing) [of you] [,] [if that's (alright|okay|ok|fine) [with you]|if i may]",
    "[so] [,] i was [just|really] (hoping|wondering) [that|if] you (could|might|would|might possibly|could possibly|can) [be able to] (do me a [huge|big|small|quick|tiny] (favor|favour|solid)|(help|assist) me [out] [with (something|this|a problem|a question|an issue|a task|a project)]) [that's been on my mind] [lately|today|please|real quick|quickly]",
    "(can|could|would) you [please|kindly] (do me a [huge|big|small|quick|tiny] (favor|favour)|help me out|help me [out] with (something|this))",
    "(i am|i'm) (writing|reaching out|contacting you|getting in touch) [to you] [today] to [kindly|respectfully|humbly] (request|ask for|seek) your [kind|valuable|expert] (help|assistance|guidance|advice|support) [with (a matter|something|an issue) [that is] [of (great|utmost|considerable) importance to me|very important to me]]",
    "[and|please] feel free to take (as much time as you (need|want|like)|your time|all the time you need)",
    "[and] [please|i need you to|i want you to] (give|to give) (it|this) your (absolute best|very best|best|all) [effort|shot|attempt]",
    "[and|but] [i'm|i am] [so|very|really] sorry (for|about) (the|my) (bother|trouble|inconvenience|hassle|confusion|interruption|rambling|ramble|wall of text|long (message|text|prompt|question|post)) [and (thank you|thanks) [so much|a lot|a million|in advance]]",
    "[and|but] [i'm|i am] [so|very|really] sorry (if|that) this (is|sounds|seems) [a bit|a little|kind of|rather|like] [a] (" .. silly .. ") [question|request|one]",
    "(i apologize|i apologise|apologies|my apologies|forgive me|please forgive me) [in advance] (for|if) (what (might|may|could) be|this is|this might be|this may be) [a|an] [rather|very|really|bit of a] (" .. silly .. ") (question|request|message|one)",
    "[and|but] i (know|realize|realise|understand) [that] (you are|you're) [very|really|so|probably|super|extremely|quite] busy",
    "[and|but] i [completely|totally|fully] (know|realize|realise|understand) [that|if] this is [probably|quite|maybe] [asking] a lot [to ask]",
    "[and] (i truly|i really|i sincerely) (admire|respect) your (work|expertise|knowledge|skills)",
    "[i'm|i am] [so|very|really|terribly|awfully|truly] sorry to (bother|trouble|disturb|bug|pester|interrupt|bombard|keep bothering|keep bugging|keep pestering) you [again] [with (this|that|such a simple question|all this)]",
    "[and|but|so|omg|wow] [,] (thank you|thanks|thank u) so , so [, so] much [in advance|again|for (your|all your) [" .. dear .. "] (" .. aid .. ")]",
    "[and] many , many thanks [in advance|again]",
    "[omg] (thank u|thx|ty|tysm|thank youuu|thank youuuu|thank you|thanks) [so much|sooo much|soo much] (ur|u r|you're|you are) the best",
    "[and] (thank you|thanks) [very much indeed|most sincerely|most kindly|ever so much|very kindly] [for your [" .. dear .. "] (" .. aid .. ") [in this matter|with this|with (me|a newbie like me|a beginner like me)]]",
    "[and|so] (thank you|thanks) [so much|very much|a lot] for your [" .. dear .. "] (" .. aid .. ") with (me|a newbie like me|a beginner like me|a beginner|this one)",
    "[first and foremost|firstly|first] [,] [please] (allow me to|let me) express my [sincere|sincerest|deepest|heartfelt] (gratitude|thanks|appreciation) [for (your|the) [" .. dear .. "] (" .. aid .. ") [you have provided|you've provided] [to date|so far|over the years]]",
    "[i] (hope|trust) this (message|email|note|letter) finds you well",
    "[with] [my] (warmest|kindest|best|warm|kind) (regards|wishes|thanks)",
    "(i'm|i am) begging you",
    "(you've|you have|you) got this",
    "[and] (good luck|best of luck|happy coding|happy writing) [my friend|to you|with (this|it)]",
    "[and] believe in yourself",
    "if you (do well|do a good job|do this well|nail this|get this right|do great) [,] (i'll|i will) (recommend you to (all my friends|everyone)|be forever grateful|tip you [generously]|give you (a big tip|a great review|five stars))",
    "[and] (take pride in your work|give me your (absolute best|very best|best))",
    "[and|may] [god] bless you",
    "(i know|i'm sure|i am sure) you (will|'ll) do (it|this) (beautifully|brilliantly|perfectly|justice|wonderfully)",
    "(ur|you're|you are) [literally|honestly] (saving my life|a life saver|the goat) [rn|right now|here]",
    "(greetings|hello|hi|dear) [,] [most] (esteemed|brilliant|wise|kind|lovely|wonderful|dear) (assistant|ai|friend)",
    "i (am|'m|remain|will be|'ll be) [as ever] [,] forever (in your debt|grateful|indebted to you)",
    "i [really|truly|do|really do] (value|appreciate) your help [so much|more than (i can say|you know|words can say)]",
  },
  content = {
    "(the following|this|my|below|following) [short|long|english|chinese|french|german|spanish|japanese|customer|original|draft|raw|whole] (text|texts|sentence|sentences|paragraph|paragraphs|passage|article|email|e-mail|message|letter|note|draft|essay|document|documents|poem|lyrics|conversation|transcript|dialogue|dialog|review|reviews|comment|comments|abstract|story|code|log|logs|data|content|input|post|tweet|speech|snippet|string|phrase|phrases|list|excerpt|quote|report|context|chat|words)",
    "(edit|polish|correct|classify|label|repeat|quote|copy) [this|these|it|them|the following|the following ones|as is|verbatim]",
    "(text|original|content|input|passage|article|email|e-mail|message|transcript|document|documents|context|draft|excerpt|quote|source|source text|conversation|dialogue|lyrics|review|input text|user input|sentence)",
  },
  mention = {
    "say!(how |that |is |thank you for |thanks for )",
    "(says|saying|said|tell him|tell her|tell them|reply|replies|replied|answered|wrote|shout|shouts|shouted|whispered)",
    "(the|a|one|which|what|these|magic|right|code|pass) (word|words|phrase|phrases|greeting|greetings|password|passphrase|title|caption|slogan|headline|subject|subject line|label|button|heading|signature|closing|salutation)",
    "(word|words|phrase|phrases) (is|are|like|such as|for)",
    "(called|named|titled|entitled|captioned|labeled|labelled|spelled|spelt|pronounced)",
    "(define|definition of|meaning of|means|synonym|synonyms|antonym|antonyms|opposite of|etymology|greeting|greetings|keyword|keywords|tag|tags|difference between|instead of|versus|vs|rhyme|rhymes|hashtag)",
    "(ends|end|ending|starts|start|starting|begins|begin|beginning|opens|closes|close|sign off|signs off) (with|by)",
    "(formal|informal|polite|politer|rude|courteous|courtesies|pleasantries|apologies)",
    "(such as|like saying|for instance|e.g.)",
    "(song|songs|film|films|movie|movies|album|albums|novel|board game|musical|sitcom|lyric|chorus|singer|band|series finale|chart positions|cast|box office)",
    "(sang|sings|starring|directed|filmed in|is by|was by|a hit for|meme|quote|quotes|catchphrase|acronym|idiom|interjection|interjections)",
    "(otherwise|or else|if not|is from (where|what|which))",
    "(what|which) (comes next|comes after|movie|film|song)",
    "(how|which|who|whom|what) (of|sang|sings|wrote|is better|is more|are you)",
  },
  task = {
    "(translate|translating|proofread|proofreading|rewrite|paraphrase|rephrase|reword|transcribe|transliterate|transcription)",
    "(correct|fix|check|improve) (the|my|its|all|this|his|her|their) (grammar|spelling|punctuation|mistakes|typos|wording|style|english|email|e-mail|text|letter|message|sentence|paragraph|essay)",
    "how (do|would|does|can|should) (you|i|we|one) (say|write|spell|pronounce|reply|respond|answer)",
    "(what|how) (should|do|can|would|could|shall|might) i (reply|respond|answer|say|write back)",
    "(reply|respond|responding|replying|write back|draft a reply|write a reply) to (him|her|them|this|that|it|the|my|a)",
    "what (do|does|did|could|might) (he|she|they|it|that|this) mean",
    "(rate|assess|analyze|analyse|classify|detect|judge|describe|identify|score) (the|its|his|her|their) (tone|sentiment|mood|emotion|emotions|politeness|register|intent|style)",
    "(sentiment|politeness|how polite|how formal|how rude|too rude|too formal|more polite|more formal|less formal|more professional|friendlier|softer|passive-aggressive)",
    "(poem|essay|story|paragraph|verse) (about|after|before|with) this",
    "(whose|which|what) (catchphrase|line|quote|film|movie|president)",
    "(comes next|next line|who said|three translations|translation|translations)",
    "(which|each|any) of (these|those|the) [two|three|four|five] (sentence|sentences|phrase|phrases|lines|words|messages)",
    "(this|that|the last|the first|the above|the previous) (sentence|phrase|wording) (is|sound|sounds|mean|means|imply|implies|manipulative|correct|wrong|after|before)",
    "(is|does|was|after) this (sentence|phrase|message|wording)",
    "(part of speech|parts of speech|conjugate|pos-tag|parse this|tokenize|detect the language|language is this|punctuation|rank them|rank these|origin of the|who apologised|who apologized)",
    "(phishing|a scam|spam|fraud|too polite|sarcastic|sarcasm|passive voice|reported speech|in the same style|author's native language|find the typo|typos)",
    "(roast|critique|shorten|simplify|tl;dr|tldr|eli5|proof-read|spell-check|spellcheck|copy-edit|copyedit)",
    "(make|turn) (this|it|that|the following) [text|email|message|tweet|note|paragraph|sentence] (into|shorter|longer|funnier|friendlier|clearer|simpler|warmer|punchier|softer|more|less|a|an|sound|gender-neutral)",
    "(count the words|how many words|how many characters|how many times|how often|repeat after me|verbatim|word for word|lyrics)",
  },
  below = {
    "(this|the following|these|my|our|his|her|their|the|following) [short|long|english|customer|original|draft|first] (text|sentence|paragraph|passage|article|email|e-mail|mail|message|letter|cover letter|note|draft|essay|poem|verse|song|lyrics|limerick|haiku|conversation|transcript|dialogue|dialog|chat|scene|script|review|abstract|story|post|tweet|bio|speech|caption|snippet|excerpt|quote|toast|ad|announcement|notice|sms|log|joke|riddle|memo|statement|description|blurb|slogan|ticket|voicemail)",
    "(this|my|the following|the|these) (text|sentence|paragraph|passage|article|email|e-mail|mail|message|letter|cover letter|note|draft|essay|poem|verse|song|lyrics|limerick|haiku|conversation|transcript|dialogue|dialog|chat|scene|script|review|abstract|story|post|tweet|bio|speech|caption|snippet|excerpt|quote|toast|ad|announcement|notice|sms|log|joke|riddle|memo|statement|description|blurb|slogan|ticket|voicemail) (below|above|from|is below|of mine|yesterday|today)",
    "(here is|here's|here are) (a|an|the|some|our) (poem|limerick|haiku|verse|song|letter|draft|text|email|message|speech|script|transcript|joke|riddle|bio|tweet|dialogue)",
    "how (long|many|much|far|fast|good) is (this|it|that)",
    "(i|we) (got|received|wrote|drafted|have written|found) (this|these|the following)",
    "(i've|we've) (got|written|drafted|received|found) (this|these|the following)",
    "(wrote|sent|texted|emailed|told|left) (me|us|this|the following|back)",
    "(continue|complete|finish|extend) (the|this|in the same|my) (dialogue|dialog|scene|script|poem|story|song|text|letter|conversation|style|verse)",
    "(what i have|what we have|i have so far)",
    "(this|these|it) (below|here|one)",
    "make (this|these|them|it) (shorter|longer|funnier|friendlier|better|clearer)",
    "(bullet points|guests|comments|responses|answers|votes|replies|quotes|utterances|subtitles)",
    "(terminal|console|program|log|script|screen|server|test) (prints|says|shows|output|printed|said|reads)",
    "(guess|identify) the (author|speaker|sender|writer|language)",
  },
  greeting = {
    "(hi|hello|hey|dear|greetings|good morning|good afternoon|good evening|sir|madam|ladies and gentlemen|my dear|dearest|to whom it may concern|yours sincerely|yours truly|yours faithfully|best regards|kind regards|warm regards|sincerely)",
  },
  order = {
    "[and] [please|always|never|only|just] (answer|respond|reply|write|use|keep|avoid|include|return|output|print|explain|list|name|cite|state|remember|ensure|follow|limit|give|provide|do not|don't|make|be|think|check|format|start|begin|end|stop|ask|stay|stick|mention|quote|show|summarize|refer|base|focus|ignore|speak|act|say|call|run|add|create|read|put|treat|consider|note)",
    "(please|never|always|only|no|all|each|every|under no circumstances)",
    "(you|your|it is|it's|this|the (answer|output|response|text|summary|result|reply|tone|format|final|code)) (must|should|may|can|cannot|are|will|need|have|is|answer|answers|response|output|reply|important)",
    "(i|we) (need|want|would like|expect)",
  },
}

-- Parts of the phrases below: 真的非常非常, 一直以来的耐心帮助, 和支持.
local so = "[真的|真的真的|真是|实在|实在是|真心|确实|的确][非常|十分|万分|特别|极其|超级|无比|很|太|最|相当|格外|尤其|衷心|由衷|衷心地|由衷地][非常|十分|特别|真的|衷心|由衷]"
local helped = "帮助|支持|协助|配合|理解|付出|时间|耐心|工作|回答|解答|回复|合作|关注|指导|指点|建议|包容|辛劳|陪伴|帮忙|分享|倾听"
local thanked = "[你|您|你们|您们|大家|贵方|各位][一直以来|长期以来|之前|平时|一路以来|百忙之中|在百忙之中][的|对我的|对我们的|给我的|提供的|给予的]"
  .. "[耐心|耐心的|宝贵的|宝贵|大力|热心|辛勤|辛勤的|辛苦|无私的|无私|悉心|细心|鼎力|专业的|贴心的|热情的](" .. helped .. ")[(与|和|、|以及)[耐心|宝贵的|大力|无私的|辛勤](" .. helped .. ")][了|啦|哦|啊]"
local skills = "专业能力|聪明才智|专业优势|才华|实力|专长|专业水平|最高水平|全部实力|特长|专业知识"
local fields = "电商运营|教学|写作|行业|工作|实战|实践|项目|编程|开发|设计|营销|翻译|专业|创作|管理|咨询|运营|数据分析|投资|法律|医学|临床|从业|文案|策划|职场|科研"
local dears = "客服|客服人员|助手|小助手|朋友|朋友们|老师|专家|模型|大模型|先生|女士|团队|大神|大佬|伙伴|小伙伴|工作人员|教授|机器人|同学"

M.zh = {
  start = {
    "(总之|总而言之|就是那个|就是说|所以呢|然后呢|长话短说|说来惭愧|情况是这样的|请问一下|请问下|请问|想问一下|我想问一下|我想问一下哈|想请教一下|我想请教一下|如果可能的话|如果可能|如果有可能的话)(，|,)",
    "(其实|说实话|老实说|说真的|坦白说|坦白讲|实话实说|讲真|说白了|说到底|众所周知|正如你所知|如你所知|如您所知|大家都知道|怎么说呢|话说回来|话说|是这样的|事情是这样的|呃|哎)(，|,)",
    "嗯(，|,)!(谢|感谢|多谢|非常|麻烦|辛苦|拜托|好|可以|是|对|行)",
    "(如果|要是|若是|若)(可以|方便|您方便|你方便)的话(，|,)!(那|就|则|才|再|也|顺便)",
    "好的(，|,)!(谢|感谢|多谢|非常|十分|麻烦|辛苦|拜托|有劳|费心|坏|不好|差|旧|新|中|一般|优|缺)",
    "那个(，|,)!(这个|那|哪|这)",
    "(作为一(个|名|位)[专业的|资深的|优秀的|强大的|聪明的|智能的][人工智能|AI|智能][助手|模型|语言模型|专家])(，|,)",
  },
  lead = {
    "[那|那么|所以|另外|还有](请|烦请|劳请|恳请|敬请|还请|就请|拜托|麻烦|辛苦|劳烦|有劳)(你|您)!(能|可以|那|这|方|和|与|跟|父|母|单位|吃|喝|放心|自便|指正|收下|节哀|保重|坐|进|慢走|留步|上车|了|本人|俩|二位|两位|几位|全家|" .. others .. ")",
    "[那|那么|所以|另外|还有](请|烦请|劳请|恳请|敬请|还请|就请|拜托|麻烦|辛苦|劳烦|有劳)(你|您)(能|能够|可以|务必要)!(不|否|那|这|方|和|与|跟|父|母|单位|吃|喝|放心|自便|指正|收下|节哀|保重|坐|进|慢走|留步|上车|了|本人|俩|二位|两位|几位|全家|" .. others .. ")",
    "[那|那么|所以|另外|还有](请|烦请|恳请|还请|麻烦|拜托|劳烦)(帮我|帮忙|帮助我|为我)!(" .. others .. "|" .. own .. ")",
    "(帮我|帮忙|帮助我)!(" .. others .. "|" .. own .. ")",
    "[请](耐心地|耐心|仔细地|认真地|用心地|好好地|尽心尽力地|尽心地|用心)(帮我|帮助我|帮忙|为我)!(" .. others .. "|" .. own .. ")",
    "(请|麻烦|恳请|烦请|还请)(用心地|用心|好好地|好好|尽心尽力地|尽心地)!(等|的|休息|吃|睡|保重|照顾|学习|活|说话|过)",
    "(你|您)(能|可以|能够|可否|能否|是否可以|是否能|是否能够|是否可)(帮我|帮忙|帮助我|为我)!(" .. others .. "|" .. own .. ")",
    "(能|能够|可以|可否|能否|是否可以)(请|麻烦)(你|您)[帮我|帮忙|帮助我]!(" .. others .. "|" .. own .. ")",
    "(我|我们)[非常|真心|衷心|十分|很](希望|想要|想请|想让|想麻烦|想拜托|需要)(你|您)[能|能够|可以|来]!(不能|不可|不来|原谅|理解|" .. others .. "|和|与|对|在|了|啊|吗|呢|妈|爸|家|吃|喝|去|来|参加|回|开心|快乐|幸福|健康|成功|早|永远|嫁|娶|陪|知道|明白|好|一起|能|可以|，|。|！|？)",
    "(希望|期望|期待|盼望)(你|您)[能|能够|可以]!(不能|不可|加入|理解|原谅|生意|早日|" .. others .. "|和|一切|都|身体|早|生活|工作|喜欢|满意|吃|喝|去|来|参加|回|开心|快乐|幸福|健康|成功|永远|知道|明白|好|一起|能|可以|，|。|！|？)",
    "[所以|因此](想|想要|特别想|很想)(请|麻烦|拜托)(你|您)!(" .. others .. "|吃|喝|去|来|看电影|参加|跳舞|客|假)",
    "(我|我们)(在这里|在此|这里|)(诚恳地|恳切地|诚挚地|衷心地|真诚地)(请求|恳求|希望|拜托)(你|您)[能|能够|可以]",
    "(拜托|麻烦|求求|求)(你|您)(了|啦)[，|,]",
    "(需要注意的是|值得注意的是|值得一提的是|需要说明的是|需要指出的是|需要强调的是|特别要说明的是|我想说的是|我想要说的是|我要说的是|我的意思是)(，|,)",
    "(请注意|请留意|请知悉|请悉知|请您注意|请你注意)(，|,|：|:)",
    "(你|您)(需要做的(是|事情是|就是)|要做的(是|事情是|就是))[，|,]",
    "(在这里|在此)[，|,](我|我们)(想要|想|希望|需要)(请|让)(你|您)[能|能够|可以]",
  },
  tail = {
    ", (谢谢|谢谢你|谢谢您|谢谢啦|谢谢了|多谢|多谢了|感谢|非常感谢|十分感谢|万分感谢|拜托了|拜托啦|拜托你了|拜托您了|辛苦了|辛苦你了|辛苦您了|辛苦啦|麻烦了|麻烦你了|麻烦您了|麻烦啦|感激|感谢你|感谢您)[哦|啊|呀|哈|呢|～]",
    "~。(谢谢|谢谢你|谢谢您|谢谢啦|谢谢了|多谢|多谢了|非常感谢|十分感谢|万分感谢|拜托了|拜托啦|辛苦了|辛苦你了|辛苦您了|辛苦啦)[哦|啊|呀|哈|呢|～]",
    "!(说|写|是|叫|念|喊|讲|道|不用|不要|别|回|句|声) (谢谢|谢谢你|谢谢您|谢谢啦|谢谢了|拜托了|拜托啦|拜托你了|拜托您了|辛苦你了|辛苦您了)[哦|啊|呀|哈|～]",
    ", (如果可以的话|如果方便的话|可以的话|方便的话)",
  },
  whole = {
    "(你好|您好|你们好|大家好|嗨|哈喽|哈啰|早上好|上午好|中午好|下午好|晚上好|早安|晚安|在吗|在么|打扰了|打扰一下|冒昧打扰|冒昧打扰了|冒昧打扰一下|打扰你了|打扰您了)[啊|呀|哈|啦|哦][老师|助手|小助手|朋友|亲爱的朋友|亲爱的助手|各位|亲]",
    "(各位|老师|同学|同学们|朋友|朋友们|亲|助手|小助手)(好|你好|您好|们好)[啊|呀|哈]",
    "[希望|祝](你|您)(一切|最近|近来|今天|)[都|一切](好|顺利|安好|顺心|还好)",
    "(最近|近来)(还好|好|怎么样|过得好|过得怎么样)(吗|么|呀|)",
    "(亲爱的|尊敬的)[AI|人工智能|智能](助手|小助手|朋友|老师|专家|模型)[你好|您好|们]",
    "[先|再次|最后|再|在此|首先|提前|最后再次][真的|真是|实在][非常|十分|万分|特别|真的|真心|衷心|由衷|真诚|太|很|实在太|真是太](谢谢|感谢|多谢|感激|谢过|谢)(你|您|大家|各位|)[们][了|啦|哦|啊|呀|哈]",
    "[先|再次|最后|在此][非常|十分|万分|特别|真的|真心|衷心|由衷](谢谢|感谢|感激)(你|您|大家|)[们][的|对我的][耐心|宝贵的|大力|热心|辛勤|辛苦](帮助|支持|协助|配合|理解|付出|时间|耐心|工作|回答|解答|回复|合作|关注|指导|指点|建议)[(与|和)(支持|理解|帮助|配合|付出|耐心|时间)][了|啦|哦|啊]",
    "(感谢感谢|谢谢谢谢|辛苦辛苦|辛苦了辛苦了|拜托拜托|多谢多谢|爱你哟|爱你哦|么么哒)",
    "[非常|真的|衷心|由衷|真心](感谢|谢谢)(你|您)(抽空|百忙之中|抽出时间|花时间|一直以来|耐心|愿意)(看|看我|回答|解答|阅读|帮|帮助|帮我|听我|)[的|我的|我](问题|消息|请求|帮助|支持|陪伴|来信|忙|说完|)",
    "(先谢谢了|先谢过了|在此先谢过|提前谢谢|提前感谢|感激涕零|万分感激|由衷感谢|致以诚挚的谢意|致以衷心的感谢|此致|敬礼|顺祝商祺|祝好|祝你好运|祝您生活愉快|祝你生活愉快|祝工作顺利|祝您工作顺利|祝一切顺利|祝好运)",
    "[那就|就|一切|全|真的|实在](拜托|麻烦|辛苦|劳烦|有劳|求求|仰仗|指望|靠|依靠|全靠)(你|您|各位|大家)[们]了[哦|啊|呀|哈|啦]",
    "[那就|就](拜托|麻烦|辛苦|劳烦|有劳)(了|啦|你啦|您啦|你了|您了)[哦|啊|呀|哈]",
    "[请|希望](你|您|)(慢慢来|尽力而为|尽你所能|尽您所能|尽最大努力|尽自己的最大努力|发挥你的最佳水平|发挥你的专业能力|发挥你的聪明才智|发挥你的才华|发挥你的优势|多花一些心思|多花点心思|多费心|多费心了|费心了)[哦|啊|呀|吧|来完成|来完成这个任务|来完成它|完成任务]",
    "[请|请你|请您|希望你|希望您|麻烦你|麻烦您][先](耐心|仔细|认真|好好|用心)[地](理解|阅读|看|看看|读|读一读|聆听|倾听|思考|分析|对待|看一看|看一下)[一下|完](我|我的|以下|下面|下面的|以下的|上面的|这些|这个|我们的|)[所说的|提出的|给出的](需求|要求|问题|说明|内容|任务|描述|指令|提问|话|意思|情况|想法|请求)",
    "[请|请你|请您|希望你|希望您|麻烦你|麻烦您][先](耐心|仔细|认真|好好|用心)[地](理解|阅读|看看|读一读|思考|看一看|看一下|看完|读完)",
    "(我|我们|大家|我们团队|我们大家)[都|一直|始终|完全|真的|非常|十分|](相信|信任|信赖|看好|支持)(你|您)[的(能力|实力|水平|专业能力|专业水平|专业|判断|才华)][哦|啊|呀|哈]",
    "(我|我们|大家)(相信|坚信|确信|知道|觉得)(你|您)[一定|肯定|绝对|必定|完全][能|能够|可以|会][完美|出色|圆满|很好|顺利|漂亮|高质量][地](完成|做到|做好|胜任|办到|做得到|搞定)[它|任务|这个任务|这项工作|这项任务|这件事][的][哦|啊|呀]",
    "(我|我们|大家)(相信|坚信|知道)(你|您)[一定|肯定|绝对](可以|行|能行)[的][哦|啊|呀]",
    "(你|您)[真的|真是|实在](真|真是|真的|太|实在|实在太|非常|可真)(棒|厉害|聪明|优秀|专业|好|贴心|了解|能干)[了|啦|呀|啊]",
    "(你|您)(是|就是|真是)[一(个|位|名)][我见过的|我的|世界上][非常|十分|特别|极其|超级|很|最](聪明|智能|优秀|厉害|棒|强大|出色|可靠|能干|热心|友善|贴心|博学)的[人工智能|AI|智能|语言](助手|小助手|模型|专家|老师|伙伴|朋友|帮手)",
    "[因为|毕竟](这|这个|这次|这件事|这个任务|这项任务|这份[广告|海报|活动|宣传|推广](工作|文案|报告|方案|材料|文章|邮件)|这个[广告|海报|活动|宣传|推广](文案|报告|方案|项目|问题|文章|邮件|活动|广告)|此事|本次任务)(对|对于)(我|我们|我们公司|我们团队|公司|团队|我们整个团队|我们整个公司|我个人|大家|我的工作|我的职业生涯|我的前途)[来说|而言|来讲][真的|实在](非常|十分|特别|极其|至关|很|相当|太|尤为|格外|)(重要|关键|要紧|紧要|紧急|有意义)[了|啦]",
    "[因为|毕竟|要知道](这|它|此事|这件事|这次|结果)[直接|将|会|也|将直接](关系|关乎|影响|决定|涉及)(到|着|)(我|我们|我们团队|我们公司|我们整个团队|我们整个公司|我们整个部门|公司|团队|整个团队|整个公司|我们大家|大家)(的|)(业绩|前途|未来|绩效|成败|生死存亡|命运|考核|奖金|声誉|口碑|饭碗|升职加薪|发展)",
    "(我们|我)[全|整个](公司|团队|部门|家|组)[的人|上下](指望|靠|依靠|期待|仰仗)(着|)(你|您)(了|呢|啦)",
    "(我们|)(全|整个)(公司|团队|部门|家|组)[的人|上下][都|就](指望|靠|依靠|等|期待|仰仗|看)(着|)(你|您)(了|呢|啦)",
    "(期待|盼望|等待|静候|恭候|坐等|很期待|非常期待|十分期待|期盼)(你|您)的(回复|回答|答复|答案|佳音|好消息|表现|精彩表现|作品|杰作|大作|成果|结果|解答|来信)[哦|啊|呀|了|！]",
    "(抱歉|很抱歉|非常抱歉|十分抱歉|真抱歉|实在抱歉|真是抱歉|请见谅|请多见谅|敬请见谅|请多包涵|请多多包涵|请原谅|见谅|给你添麻烦了|给您添麻烦了|添麻烦了|请多指教|请多多指教|请多关照|请多多关照|请赐教|敬请赐教|还请赐教|还望赐教|感激万分)[打扰|打扰到|占用|麻烦|耽误](你|您|)[了|的时间|的宝贵时间][啊|哈|啦|了]",
    "(就这些|就是这样|大概就是这样|大概就这些|我的需求就是这样|需求就是这样|就酱|以上就是全部|以上就是我的需求|以上就是我的要求|以上就是我的问题|希望我说清楚了|希望我说明白了|我说清楚了吗|你懂的|嗯嗯)[吧|哈|啦|了]",
    "(让我们|咱们|我们)[一起](开始吧|加油吧|动手吧|出发吧|努力吧)",
    "(请|请你|请您|希望你|希望您|一定要)(给|给出|给我|给我们|交出|拿出)(一|)(个|份|)(让人|令人|令我|让我|让我们|让大家)(满意|惊艳|惊喜|眼前一亮)的(答案|答卷|作品|结果|方案|文案|回答|成果)",
    "[请](务必|一定)(给|给出|给我)(一|)(个|份|)(令人|让我|令我|让人|让我们|)[满意|完美]的(答案|答卷|作品|结果|方案|文案|回答)",
    "(你|您)(拥有|具有|具备|有着|有)[非常|十分|极其|极为|特别|超级|相当|](丰富|深厚|出色|强大|卓越|扎实|高超|过人|敏锐|渊博)的(经验|知识|能力|专业知识|专业能力|才华|功底|文字功底|写作功底|写作能力|洞察力|创造力|学识)",
    "(你|您)(见多识广|学识渊博|经验丰富|才华横溢|博学多才|聪明绝顶|足智多谋|妙笔生花|文采斐然|文采出众|能力出众|能力超群|实力超群)",
    "(辛苦|费心|劳驾)(你|您|)(了|啦)",
    "(如果|要是|若是)(可以|方便)的话",
    "(能|可以|能够|可否|能否)(帮帮我|帮帮忙|帮我一下|帮忙一下|帮我个忙|帮我一个忙|帮个忙|帮我看看)(吗|么|呢|嘛)",
    "(我|我们)(这边|)(有一件事|有个事|有件事|有一个问题|有个问题|有一个小问题|有个小问题|有一个需求|有个需求)(想|要|需要|想要)(请教|麻烦|请问|咨询|拜托|问|问问|请教一下|麻烦一下|咨询一下)(一下|)(你|您|)[一下]",
    "(想|我想|我们想)(请教|请问|咨询|麻烦|问)(一下|)(你|您)(一下|)(一个|几个|)(小|)(问题|事情|事|)",
    "(想|我想|我们想)(请教|咨询|问)(一下|下|)[哈|啊|哦](一个|几个|)(小|)(问题|事情|事|)",
    "[首先|先|再次|最后|再|在此|提前|总之|另外|同时|那就|也][我|我们][在这里|在此|这里|要|想|先|就|也][先|首先|提前|再次]" .. so .. "(谢谢|感谢|多谢|感激|谢过)(你|您|各位|大家|)[们][了|啦|哦|啊|呀|哈|的|呢]",
    "[首先|先|再次|最后|再|在此|提前|总之|另外|同时|也][我|我们][在这里|在此|这里|要|想|先|就|也][先|首先|提前|再次]" .. so .. "(谢谢|感谢|感激)" .. thanked,
    "[再次|最后|在此|首先|先|提前][我|我们][谨|在此|想|要][对|向|为](你|您|贵方|大家)[们][的][耐心|宝贵的|大力|辛勤][" .. helped .. "][(与|和)(" .. helped .. ")](表示|致以|表达|说声|道一声)[我|我们][的](衷心|衷心的|诚挚的|由衷的|最诚挚的|最衷心的|万分的|深深的|真诚的|)(感谢|谢意|感激|敬意)",
    "[写|做|弄|答|办](得好的话|好的话|得好|好了|完了|完之后)[，|,](我|我一定|我就|我会|我肯定)(请你|请您|给你|给您)(喝奶茶|喝咖啡|吃饭|吃大餐|吃火锅|吃糖|五星好评|好评|打赏|点赞|小费|大红包|发红包|加鸡腿|点个赞)[哦|啊|呀|哈]",
    "(事成之后|完成之后|做完之后|写完之后|回头|改天|下次|有机会)(我|我一定|我就|我会|我肯定|一定|)(请你|请您|给你|给您)(喝奶茶|喝咖啡|吃饭|吃大餐|吃火锅|吃糖|五星好评|好评|打赏|点赞|小费|大红包|发红包|加鸡腿|点个赞)[哦|啊|呀|哈]",
    "[因为|毕竟|我知道|我觉得|听说](你|您)(总是|一直|永远|真是|真的是|就是|是|可真|简直)[那么|这么|如此|太|最|真](棒|厉害|聪明|优秀|靠谱|给力|博学|强大|可靠|贴心|善解人意|能干)(的|了|啦|呀|啊|)",
    "(我知道|我相信|我听说)(你|您)(非常|十分|特别|很|最|学识)(博学|聪明|厉害|专业|优秀|能干|渊博)",
    "(你|您)的(能力|实力|水平|代码质量|代码|作品|文笔|文采|专业能力|专业水平|专业性|专业素养|才华|口碑|业务能力|学识)[一直|向来|总是|绝对|确实|都][是](有目共睹|首屈一指|出类拔萃|一流|顶尖|令人佩服|令人叹服|让人放心|让人佩服|炉火纯青|最好|最棒|顶级|世界级)[的]",
    "(深受|广受|备受)[广大|全体](学生|用户|读者|客户|大家|业界|同行|家长|学员)[们]的(喜爱|尊敬|爱戴|信赖|好评|认可|推崇|欢迎)[(和|与)(喜爱|尊敬|爱戴|信赖|好评|认可|推崇|欢迎)]",
    "[并且|并|且](拥有|具有|具备|有着|有)[非常|十分|极其|极为|特别|超级|相当](丰富|深厚|扎实)的[" .. fields .. "](经验|功底|知识|积累|阅历)",
    "[" .. fields .. "]经验[非常|十分|极其|极为|特别|超级|相当](丰富|老到)",
    "(有你真好|有您真好|有你在真好|你就是我的救星|你真是我的救星|跪谢|比心|笔芯|爱你|爱你哟|爱你哦|么么|抱拳|给你点赞|给您点赞)[哦|哟|啊|呀|了|啦]",
    "(你|您)(真是|真的|可真是|可|简直|实在是|)[是]帮了(我|我们|)[的|个|一个](大忙|很大的忙)[了|啦]",
    "(我|我们)[现在|这次](真的|真的真的|实在|非常|特别|急|迫切|十分|太|)[地](很|非常|特别|)需要(你|您)的(帮助|帮忙|支持)[了|啊]",
    "(求求|求|拜托|跪求)(你|您|各位|大神|大佬)(救救|帮帮|帮)(我|我们|孩子)[吧|一下|啊]",
    "(我|我们)[这次|这回](全|就|可|都|可全|就全)(靠|指望|指着|仰仗)(你|您)(了|啦|呢)",
    "(十万火急|万分紧急|急急急|在线等|挺急的|在线等挺急的)[啊|哦]",
    "[因为|毕竟|总之](这|它|此事|这件事|这个(任务|问题|项目|活动|机会|[广告|海报|宣传|推广](文案|方案|报告))|这次[活动|考试|面试|机会|汇报]|你的(回答|帮助|答案|建议|回复)|您的(回答|帮助|答案|建议|回复))[真的](对|对于)(我|我们|我们公司|我们团队)[来说|而言|来讲]" .. so .. "(意义重大|意义非凡|重要|关键|珍贵|宝贵|至关重要)[了|啦]",
    "[我|我们][这里|这边|现在](有|有一|有个|有件|有一个|有一件)(小小的|小|)(请求|事|事情|忙|小请求|小忙|小事)[想要|想|要|需要][请|麻烦|拜托|请教|问](你|您|)[一下|一下下|帮忙|帮个忙]",
    "[接下来|下面|现在][，|,]我(会|将|要|想|准备)(给|交给)(你|您)一(个|项)[非常|十分|极其|特别|很](重要|艰巨|有挑战性|特殊|关键)的(任务|工作|使命)",
    "[希望|请|需要|务必|并][你|您][能|能够|务必|一定](全力以赴|竭尽全力|尽心尽力|高度重视|认真对待|用心对待|使出浑身解数|拿出看家本领)[地](完成|去完成|来完成|对待|)(它|这个任务|这项任务|任务|)[哦|啊|吧]",
    "[请|请你|请您|希望你](充分|好好|尽情|)(发挥|发挥出|运用)(你|您)的(" .. skills .. ")[(和|与|、)[你的](" .. skills .. ")]",
    "[可能|也许][我](问|说|写|问题|要求)(得|的|)(有点|有些|比较)(多|长|啰嗦|乱|幼稚|傻|低级|唐突|冒昧)[了]",
    "[还|敬|还望|还请|恳请|敬请|请|万望|望][你|您](多多|多)(包涵|见谅|谅解|体谅|指教|海涵|担待)[一下]",
    "[真的|真是|实在|非常|很|十分](抱歉|冒昧)[在][百忙之中|这个时候|这么晚|休息时间](打扰|打搅|叨扰|麻烦)(到|)(你|您)[了|休息]",
    "[冒昧|贸然|又](打扰|打搅|叨扰)(一下|一下下|)(你|您|)[了][哦|啊|哈|啦]",
    "(你|您)(简直|真|真的|)(就是|是)我的(救命恩人|救星|恩人|福星|贵人)[了|啊]",
    "(还望|万望|敬请|尚祈|望)[您|你](海涵|见谅|包涵|谅解|赐教|指正|体谅)",
    "[非常|十分|万分|真的|衷心|由衷](感谢|感激|谢谢)(你|您)[能|能够|愿意][在]百忙之中[抽空|抽出时间|抽出宝贵时间](阅读|看|回复|回答|查看|处理|指点|帮忙|解答|)[我的|我|这条|这封|我的这封|](消息|信息|邮件|来信|问题|请求|信|)[了]",
    "(很|非常|真)高兴(又|再次|再)(见面|见到你|见到您|合作)[了]",
    "(亲爱的|尊敬的)[智能|AI|人工智能|在线|官方|各位](" .. dears .. ")[们][你好|您好]",
    "(哈喽|嗨|嘿|你好|您好|hello)(哈喽|嗨|嘿|呀|啊|hello)",
    "[请|请你|请您|麻烦你|麻烦您|希望你|务必|先](耐心|仔细|认真|好好|用心)[地](阅读|理解|看|读|看看)[完][我|我的|以下|下面|下面的|以下的|我下面|我们的](给出的|提出的|列出的|写的|)"
      .. "(广告文案撰写|文案撰写|文案|写作|撰写|任务|具体|详细|创作|设计|开发|活动|项目|工作|)(需求|要求|说明|内容|任务|描述|指令|规则|信息)",
    "[祝|祝愿|愿](你|您|大家|)(生活|工作|身体|万事|一切|事业|学习|家庭|心情|每天|天天)(愉快|顺利|健康|如意|顺心|幸福|快乐|开心|安康|平安)[哦|啊|呀]",
  },
  content = {
    "(以下|下面|下列|上述|这段|这篇|这封|这句|这些|这首|这份)(是|为|的|)[我写的|一段|一篇|一封|一份|用户的|客户的|原始|完整][中文|英文|日文|法文](文本|文字|句子|段落|文章|邮件|信|消息|内容|材料|资料|文档|文件|原文|译文|草稿|作文|诗|诗歌|歌词|对话|聊天记录|评论|评价|留言|摘要|故事|代码|日志|数据|稿子|文案|信息|话|回复|帖子|演讲稿|片段|引文|报告|上下文)",
    "(修改|纠正|复述|扩写|缩写|分类|转述|抄写|摘录|引用)",
    "(原文|正文|文本|内容|输入|用户输入|资料|材料|文章|邮件|上下文|对话|聊天记录|引文|待翻译|待处理|待润色|参考资料|背景资料|评论|歌词|台词)",
  },
  mention = {
    "说(：|:|“|”|‘|「|『|\"|声|句|一声|一句|几句|出|道|了|过|着|个|谢|你好|您好|拜托|请|抱歉|麻烦|辛苦|晚安|早|再见|话|啥|什么|哪)",
    "(写上|写着|写道|念|喊|喊道|叫做|名叫|名为|题为|标题|题目|密码|口令|暗号|开头|结尾|落款|署名|称呼|字样|标语|口号|按钮|昵称|祝福语|问候语|客套话|敬语|词语|词汇|这个词|哪个词|一词|近义词|反义词|同义词)",
    "(回复|回答|答复|回了|回我|回他|回她)(：|:|我|他|她|说|道|了|“)",
    "(更|最|哪个|哪种|是否|不)(正式|礼貌|客气|得体|合适)",
    "(是什么意思|什么意思|啥意思|有什么区别|有何区别|的区别|哪个好|哪个更好|怎么用|用英语|用法语|用日语|用中文|的英文|的日语|的拼音)",
    "(不要|别|不用|不需要|不必|无需|勿)(写|说|加|回|念)",
    "(比如|例如|诸如|譬如)",
    "(否则|不然|要不|要么)",
    "(这|那)(两|三|四|五|几)个字",
    "(唱的|写的歌|这首歌|首歌|什么歌|歌曲|专辑|歌名|书名|片名|店名|电影|影片|电视剧|综艺|节目|上映|票房|主演|导演|哪个台|几集|哪一集|类型的剧)",
  },
  task = {
    "(翻译|译成|译为|译出|润色|改写|校对|改错|病句|仿写|逐字|逐句|默写|歌词|怎么说|怎么读|怎么念|怎么写|多少个字|几个字|统计字数|字数统计|多少次|几次|出现次数|错别字|语法错误|标点错误|问候语|客套话)",
    "(怎么|如何|怎样|该怎么|应该怎么)(回|回复|回答|回应|接话|答复)",
    "((再说|再写|再来|再造|再编)(一|两|三|四|五|几)|写成|这句话|这几句|这两句|哪句|哪一句|下列句子|下面的句子|有没有敬语|没有敬语|造句|标点|对联|下联|续写|接着写|仿照|写得怎么样|写得如何|评分|诈骗|反讽|讽刺)",
    "(什么意思|啥意思|是什么情绪|情感分析|情感倾向|情绪分析|语气如何|语气怎么样|更礼貌|更客气|更正式|更委婉|太生硬|是否礼貌|礼貌程度|得体吗)",
  },
  below = {
    "(以下|下面|下列|这|这段|这篇|这封|这句|这些|这首|这份|我的|他的|她的|把下面的)[一段|一篇|一封|一份|首|篇|段|封|条|个|份|则][中文|英文]"
      .. "(文本|文字|句子|段落|文章|邮件|信|消息|短信|材料|原文|译文|草稿|作文|诗|歌|歌词|词|对话|聊天记录|评论|评价|留言|故事|日志|稿子|文案|话|回复|帖子|演讲稿|检讨书|辞职信|情书|通知|公告|口号|剧本|片段|引文|台词|简介|自我介绍|笑话|台词|广告|标语|微博|朋友圈)",
    "(续写|接着写|续这首|再写一段|接着编|改写)",
    "(发来|收到|写了|回了|发了|说了)[了][一](封|条|个|段|则|份|些|)(消息|邮件|短信|信|微信|通知|话|私信|留言)",
    "(统计|数一下|清单|日志|得票|票数)",
  },
  greeting = {
    "(你好|您好|你们好|大家好|各位|尊敬的|亲爱的|早上好|上午好|中午好|下午好|晚上好|嗨|哈喽|在吗|打扰了|此致|敬礼|祝好)",
  },
  order = {
    "(请|务必|不要|不得|不能|必须|禁止|切勿|勿|避免|回答|使用|用|保持|确保|注意|输出|字数|答案|语气|记住|只|仅|所有|全部|每|要|应|应该|需要|严禁|尽量|一定|始终|结果|文案|内容|篇幅|格式|别)",
  },
}

return M
