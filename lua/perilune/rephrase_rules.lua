--- rephrase_rules: words that mean the same, by language.
--
-- Data, nothing else.  A rule is a list of phrases in lower case, of which each may stand for each other, and where it
-- holds.  Lists of words are written "a|b":
--
--     one_way    only the first is replaced
--     place      "start": at the beginning of a sentence; "clause" (zh): there, or behind a comma
--     prev       what must not stand in front: a word (en), or how the text in front must not end (zh)
--     next       what must not stand behind: the same
--     follow     of which one must stand behind
--     digit      a number must stand behind
--     without    (zh) what must not be in the sentence
--     within     (zh) of which one must be in the sentence
--
-- What belongs here is what means the same wherever the conditions hold.  What does not: words that are stronger or
-- weaker (important, essential), that also mean something else (since: of time; finally: at last), that say who may
-- (can, may), and what may be half of two words (已经常去 is 已经 and 常去).  Chinese phrases are written the same in
-- simplified and traditional characters, or the first is simplified only.

local M = {}

local pronouns = "you|it|the|they|we|this|that|these|those|your|their|its|our|he|she|his|her|i|my|there|each|every|all"
-- "it is a ..." and "it is." are not the same place.
local behind_is = "a|an|the|also|often|usually|important|best|possible|worth|easy|easier|good|better|recommended|essential|"
  .. "used|useful|helpful|common|generally|typically|still|very|more|one|designed|based|known|called|made|likely|crucial|widely"

M.en = {
  -- at the beginning
  { "however,", "that said,", place = "start" },
  { "nevertheless,", "nonetheless,", place = "start" },
  { "in addition,", "additionally,", place = "start" },
  { "furthermore,", "moreover,", place = "start" },
  { "in conclusion,", "to conclude,", place = "start" },
  { "in summary,", "to summarize,", "to sum up,", place = "start" },
  { "generally,", "in general,", place = "start" },
  { "typically,", "usually,", place = "start" },
  { "similarly,", "likewise,", place = "start" },
  { "in other words,", "put differently,", place = "start" },
  { "in contrast,", "by contrast,", place = "start" },
  { "meanwhile,", "in the meantime,", place = "start" },
  { "to begin with,", "to start with,", place = "start" },
  { "fortunately,", "luckily,", place = "start" },
  { "for this reason,", "because of this,", place = "start" },
  { "as a result,", "as a consequence,", place = "start" },
  { "to do this,", "to do so,", place = "start" },
  { "these days,", "nowadays,", place = "start" },
  { "note that", "keep in mind that", "bear in mind that", place = "start", follow = pronouns },
  { "i hope this helps", "i hope that helps", place = "start" },
  { "let me know if", "please let me know if", place = "start" },
  { "feel free to", "please feel free to", place = "start" },
  { "if you have any questions", "should you have any questions", one_way = true, place = "start" },
  { "in order to", "to", one_way = true, place = "start" },
  { "make sure to", "be sure to", place = "start" },
  { "begin by", "start by", place = "start" },
  { "even though", "although", place = "start" },
  { "perhaps", "maybe", place = "start", follow = pronouns },
  -- anywhere
  { "for example,", "for instance," },
  { "if you want to", "if you'd like to", "if you wish to" },
  { "it is", "it's", one_way = true, follow = behind_is, prev = "as|what|how|than|that|whatever|where|when|so|however|and|or" },
  { "you're", "you are", one_way = true },
  { "they're", "they are", one_way = true },
  { "we're", "we are", one_way = true },
  { "you'll", "you will", one_way = true },
  { "you will", "you'll", one_way = true, follow = "need|see|get|have|find|want|be" },
  { "make sure that", "ensure that" },
  { "which means that", "which means", one_way = true, follow = pronouns },
  { "which means", "which means that", one_way = true, follow = "you|it|the|they|we|your|their|its|there" },
  { "so that you can", "so you can", one_way = true },
  { "regardless of", "irrespective of" },
  { "with regard to", "regarding", one_way = true },
  { "prior to", "before", one_way = true, prev = "is|are|was|were|be|a|the" },
  { "in the event that", "if", one_way = true },
  { "the majority of the", "most of the" },
  { "a wide variety of", "a wide range of" },
  { "often", "frequently", prev = "so|as|often|how|most|more|a|an|too|very|quite", next = "than|as|times|asked|enough" },
  { "usually", "typically", prev = "more|less|than|as|unless|most|a" },
  { "numerous", "many", one_way = true, follow = "people|users|companies|studies|ways|benefits|factors|countries|options" },
  { "utilize", "use", one_way = true },
  { "utilizing", "using", one_way = true },
  { "demonstrates that", "shows that" },
  { "demonstrate that", "show that" },
  { "assist you", "help you" },
  { "approximately", "roughly", digit = true },
  { "anyone", "anybody", next = "of" },
  { "someone", "somebody", next = "of" },
  { "everyone", "everybody", next = "of" },
  { "toward", "towards" },
  { "as a consequence of", "as a result of" },
  { "take into account", "take into consideration" },
  { "all of your", "all your" },
  { "particularly", "especially", prev = "more|most|very|a|an" },
  { "mainly", "primarily", prev = "more|most|a" },
  { "plays a crucial role", "plays a vital role" },
  { "play a crucial role", "play a vital role" },
}

M.zh = {
  -- at the beginning of a sentence or a clause
  { "但是", "然而", place = "clause", next = "而|然" },
  { "因为", "由于", place = "start", next = "此|是" },
  { "如果", "假如", "要是", one_way = true, place = "clause", next = "说|汁|园|实|树|蔬|酱|断|真是|是" },
  { "假如", "如果", one_way = true, place = "clause", next = "说" },
  { "所以", "因此", one_way = true, place = "clause", next = "然|说|呢", without = "因为|由于|之所以" },
  { "因此", "所以", one_way = true, place = "clause", next = "而|事" },
  { "此外，", "另外，", "除此之外，", place = "start" },
  { "总之，", "总而言之，", place = "start" },
  { "具体来说，", "具体而言，", place = "clause" },
  { "一般来说，", "一般而言，", place = "clause" },
  { "简单来说，", "简而言之，", place = "clause" },
  { "换句话说，", "换言之，", place = "clause" },
  { "事实上，", "实际上，", place = "clause" },
  { "以下是", "下面是", place = "start" },
  { "虽然", "尽管", one_way = true, place = "clause", within = "但|却|仍|依然|还是" },
  { "特别是", "尤其是", place = "clause" },
  { "希望这些", "希望以上", place = "start", follow = "信息|建议|内容|方法|步骤" },
  { "例如", "比如", place = "clause", next = "下|此|何|果|说|同|是|有" },
  { "许多", "很多", one_way = true, place = "clause",
    follow = "人|用户|国家|地方|城市|公司|企业|学生|家庭|研究|方法|因素|问题|领域|情况|时候" },
  -- anywhere
  { "立即", "立刻", prev = "建|成|设|独|确|树|创|订|对|中|站|国|公|私", next = "可|使|便|为|是" },
  { "逐渐", "渐渐" },
  { "大约", "大概", one_way = true, digit = true },
  { "依然", "仍然", next = "如" },
  { "通常需要", "一般需要", one_way = true },
  { "通常情况下", "一般情况下" },
}

-- Sentences about words: those must stay.
M.about_words = {
  en = "word|words|phrase|phrases|synonym|synonyms|term|terms|meaning|verb|noun|adverb|adjective|conjunction|idiom|spelled|"
    .. "spelling|pronounced|grammar|sentence|sentences|translation|letter|letters|says|said|quote|wrote|preposition|called|named|"
    .. "titled|entitled|option|options|choice|choices|choose|button|label|labels|answer",
  zh = "词|意思|短语|成语|语法|句|翻译|汉字|拼音|读音|近义|含义|字母|写道|说道|选项|按钮|标签|答案|名为|叫做|字段",
}

-- Questions that want an answer as it is.
M.as_it_is = {
  "verbatim", "word for word", "word-for-word", "exact", "quote", "recite", "repeat", "poem", "lyric", "haiku", "sonnet",
  "limerick", "translat", "proofread", "transcri", "correct the", "rewrite", "rephrase", "paraphrase", "grammar", "word count",
  "characters long", "full text", "first line", "the text of", "dialogue",
  "逐字", "原文", "背诵", "默写", "诗", "歌词", "翻译", "复述", "校对", "改写", "一字不", "对联", "字数", "全文", "对话",
}

return M
