/* test_guard.c -- which questions the guard tells apart, and which it must not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "semantic/embedding.h"
#include "semantic/guard.h"
#include "semantic/semantic.h"

#include "unit.h"

static struct embedder *words;

static enum guard compare(const char *a, const char *b) {
    NOTE("%s | %s", a, b);
    enum guard g = guard_compare(slice_str(a), slice_str(b), words);
    CHECK_STR(guard_name(guard_compare(slice_str(b), slice_str(a), words)), guard_name(g));
    return g;
}

/* -- Refused ------------------------------------------------------------------------------ */

struct swap {
    enum guard  want;
    const char *a, *b;
};

static const struct swap swaps[] = {
    { GUARD_NUMBER, "Give me 3 ideas", "Give me 5 ideas" },
    { GUARD_NUMBER, "A list of two books", "A list of four books" },
    { GUARD_NUMBER, "What is 1.5 million in words?", "What is 1.6 million in words?" },
    { GUARD_NUMBER, "What is new in python 3.1?", "What is new in python 3.10?" },
    { GUARD_NUMBER, "三个人怎么住", "五个人怎么住" },
    { GUARD_NUMBER, "存款3万有多少利息", "存款三十万有多少利息" },
    { GUARD_NUMBER, "百分之五十是多少", "百分之十五是多少" },
    { GUARD_NUMBER, "第三集讲什么", "第四集讲什么" },
    { GUARD_UNIT, "How far is 20 kilometers?", "How far is 20 miles?" },
    { GUARD_UNIT, "What can I get for $20?", "What can I get for 20 euros?" },
    { GUARD_UNIT, "Is 20% much?", "Is 20 much?" },
    { GUARD_UNIT, "五公里要走多久", "五公尺要走多久" },
    { GUARD_UNIT, "100美元能买什么", "100日元能买什么" },
    { GUARD_DATE, "What is open on Monday?", "What is open on Friday?" },
    { GUARD_DATE, "What happened in March?", "What happened in June?" },
    { GUARD_DATE, "The weather tomorrow", "The weather today" },
    { GUARD_DATE, "Wake me at 3 pm", "Wake me at 15:30" },
    { GUARD_DATE, "明天天气怎么样", "昨天天气怎么样" },
    { GUARD_DATE, "周一上班吗", "周五上班吗" },
    { GUARD_DATE, "5月4日是什么节", "6月4日是什么节" },
    { GUARD_NEGATION, "Why can I log in?", "Why can't I log in?" },
    { GUARD_NEGATION, "coffee with sugar", "coffee without sugar" },
    { GUARD_NEGATION, "Is it possible to fly?", "Is it impossible to fly?" },
    { GUARD_NEGATION, "为什么能登录", "为什么不能登录" },
    { GUARD_NEGATION, "我有驾照", "我没有驾照" },
    { GUARD_DIRECTION, "How do I enable it?", "How do I disable it?" },
    { GUARD_DIRECTION, "When should I buy shares?", "When should I sell shares?" },
    { GUARD_DIRECTION, "What to eat before a run", "What to eat after a run" },
    { GUARD_DIRECTION, "What is the maximum?", "What is the minimum?" },
    { GUARD_NEGATION, "Is it legal here?", "Is it illegal here?" },
    { GUARD_DIRECTION, "怎么开灯", "怎么关灯" },
    { GUARD_DIRECTION, "怎么买房", "怎么卖房" },
    { GUARD_DIRECTION, "上面是什么", "下面是什么" },
    { GUARD_DIRECTION, "男装尺码表", "女装尺码表" },
    { GUARD_QUESTION, "How tall is a grown bear?", "How heavy is a grown bear?" },
    { GUARD_QUESTION, "西湖多深", "西湖多宽" },
    { GUARD_DIRECTION, "Can I copy one side of the page?", "Can I copy both sides of the page?" },
    { GUARD_DIRECTION, "the symptoms of a heat stroke", "the causes of a heat stroke" },
    { GUARD_DIRECTION, "Is theft insured?", "Is water damage insured?" },
    { GUARD_DIRECTION, "Can I pay by cheque?", "Can I pay by card?" },
    { GUARD_DIRECTION, "What is the boiling point of tin?", "What is the melting point of tin?" },
    { GUARD_DIRECTION, "Do contractors get a badge?", "Do interns get a badge?" },
    { GUARD_DIRECTION, "How do I rename a folder?", "How do I share a folder?" },
    { GUARD_NAME, "When do I plant tulips?", "When do I plant roses?" },
    { GUARD_DIRECTION, "失眠的原因", "失眠的治疗" },
    { GUARD_DIRECTION, "怎么算方差", "怎么算中位数" },
    { GUARD_DIRECTION, "银行几点开门", "银行几点关门" },
    { GUARD_DIRECTION, "可以付现金吗", "可以刷卡吗" },
    { GUARD_DIRECTION, "convert miles to yards please", "convert yards to miles please" },
    { GUARD_DIRECTION, "a train from London to Paris", "a train from Paris to London" },
    { GUARD_DIRECTION, "are cats bigger than rabbits?", "are rabbits bigger than cats?" },
    { GUARD_DIRECTION, "从北京到上海", "从上海到北京" },
    { GUARD_DIRECTION, "美元换欧元", "欧元换美元" },
    { GUARD_DIRECTION, "Did Alice pay Bob?", "Did Bob pay Alice?" },
    { GUARD_DIRECTION, "does the dog bite the man", "does the man bite the dog" },
    { GUARD_DIRECTION, "should i sell apple and buy tesla", "should i sell tesla and buy apple" },
    { GUARD_DIRECTION, "Does Alice owe money to Bob?", "Does Bob owe money to Alice?" },
    { GUARD_DIRECTION, "did alice smith sue bob jones", "did bob jones sue alice smith" },
    { GUARD_DIRECTION, "did alice smith sue bob in may", "did bob sue alice smith in may" },
    { GUARD_DIRECTION, "2 apples for 3 dollars", "3 apples for 2 dollars" },
    { GUARD_CODE, "is 5 \u2264 3", "is 5 \u2265 3" },
    { GUARD_CODE, "is x \u2260 3", "is x = 3" },
    { GUARD_NUMBER, "sum of \u0967\u0968 and 3", "sum of \u0967\u0969 and 3" },
    { GUARD_NUMBER, "sum of \u0661 and 3", "sum of \u0662 and 3" },
    { GUARD_CODE, "what does \U0001F600 mean from my boss", "what does \U0001F621 mean from my boss" },
    { GUARD_CODE, "is \u2705 good", "is \u274c good" },
    { GUARD_NAME, "What is Paris known for?", "What is London known for?" },
    { GUARD_NAME, "who was Zorbatek anyway", "who was Mirolan anyway" },
    { GUARD_NAME, "python or what?", "java or what?" },
    { GUARD_NAME, "the \"red fox\" story", "the \"blue whale\" story" },
    { GUARD_NAME, "北京有什么好吃的", "成都有什么好吃的" },
    { GUARD_NAME, "《活着》讲了什么", "《呐喊》讲了什么" },
    { GUARD_NAME, "怎么学html", "怎么学css" },
    { GUARD_CODE, "explain get_user to me", "explain set_user to me" },
    { GUARD_CODE, "what is /etc/hosts?", "what is /etc/passwd?" },
    { GUARD_CODE, "see https://a.example/x", "see https://a.example/y" },
    { GUARD_CODE, "write to ann@example.com", "write to bob@example.com" },
    { GUARD_CODE, "run it with --force", "run it with --quiet" },
    { GUARD_CODE, "what does == do", "what does != do" },
    { GUARD_LANGUAGE, "Explain gravity in English", "Explain gravity in French" },
    { GUARD_LANGUAGE, "用中文介绍重力", "用英文介绍重力" },
    { GUARD_LANGUAGE, "What is gravity?", "什么是重力？" },
    { GUARD_FORMAT, "planets as a table", "planets as a bulleted list" },
    { GUARD_FORMAT, "planets as json", "planets as xml" },
    { GUARD_FORMAT, "explain it briefly", "explain it in detail" },
    { GUARD_FORMAT, "用一句话说明重力", "用表格说明重力" },
    { GUARD_QUESTION, "When was it built?", "Where was it built?" },
    { GUARD_QUESTION, "who built it?", "why did they build it?" },
    { GUARD_QUESTION, "how much does it take?", "how long does it take?" },
    { GUARD_QUESTION, "谁造了它", "为什么造了它" },
    { GUARD_QUESTION, "去那里要多久", "去那里要多少钱" },
};

TEST(questions_that_differ_are_told_apart) {
    for (size_t i = 0; i < sizeof(swaps) / sizeof(*swaps); i++)
        CHECK_STR(guard_name(compare(swaps[i].a, swaps[i].b)), guard_name(swaps[i].want));
}

/* Parts that are exchanged behind another "to", letters that look like an article, Chinese without a word for it. */
static const struct swap parts[] = {
    { GUARD_NUMBER, "symptoms of type I diabetes", "symptoms of type II diabetes" },
    { GUARD_NUMBER, "世界大战I期", "世界大战II期" },
    { GUARD_NUMBER, "Ⅰ型糖尿病的症状", "Ⅱ型糖尿病的症状" },
    { GUARD_DIRECTION, "What happens if I stop taking insulin?", "What happens if I keep taking insulin?" },
    { GUARD_DIRECTION, "Should I stop taking my medication?", "Should I keep taking my medication?" },
    { GUARD_DIRECTION, "Should I quit my job?", "Should I stay in my job?" },
    { GUARD_DIRECTION, "Is it ok to stop exercising while sick", "Is it ok to keep exercising while sick" },
    { GUARD_DIRECTION, "能停药吗", "能吃药吗" },
    { GUARD_DIRECTION, "感冒了停止跑步好吗", "感冒了坚持跑步好吗" },
    { GUARD_DIRECTION, "怎么把旧手机留着", "怎么把旧手机卖掉" },
    { GUARD_DIRECTION, "how to convert miles to km", "how to convert km to miles" },
    { GUARD_DIRECTION, "how to convert miles to km", "how do I convert km to miles quickly" },
    { GUARD_DIRECTION, "How to convert PDF to Word", "How to convert Word to PDF" },
    { GUARD_DIRECTION, "I need to translate English to French", "I need to translate French to English" },
    { GUARD_DIRECTION, "I'd like to convert euros into dollars", "I'd like to convert dollars into euros" },
    { GUARD_DIRECTION, "how to import excel into mysql", "how to import mysql into excel" },
    { GUARD_DIRECTION, "how to map a network drive to a folder", "how to map a folder to a network drive" },
    { GUARD_DIRECTION, "how to bind a key to a command", "how to bind a command to a key" },
    { GUARD_DIRECTION, "how to connect a phone to a laptop", "how to connect a laptop to a phone" },
    { GUARD_DIRECTION, "How to convert an array to a list in Java", "How to convert a list to an array in Java" },
    { GUARD_DIRECTION, "how to convert string to int in java", "how to convert int to string in java" },
    { GUARD_DIRECTION, "How to add water to acid", "How to add acid to water" },
    { GUARD_DIRECTION, "Is it safe to add water to acid", "Is it safe to add acid to water" },
    { GUARD_DIRECTION, "Convert miles to km to understand it", "Convert km to miles to understand it" },
    { GUARD_DIRECTION, "Is plan A better than plan B?", "Is plan B better than plan A?" },
    { GUARD_DIRECTION, "Is C faster than A?", "Is A faster than C?" },
    { GUARD_DIRECTION, "does A imply B", "does B imply A" },
    { GUARD_DIRECTION, "Divide A by B", "Divide B by A" },
    { GUARD_DIRECTION, "Should A pay B?", "Should B pay A?" },
    { GUARD_DIRECTION, "Let A be a subset of B", "Let B be a subset of A" },
    { GUARD_DIRECTION, "replace a with b in vim", "replace b with a in vim" },
    { GUARD_DIRECTION, "the art of history", "the history of art" },
    { GUARD_DIRECTION, "老师批评学生怎么办", "学生批评老师怎么办" },
    { GUARD_DIRECTION, "张三欠李四的钱怎么办", "李四欠张三的钱怎么办" },
    { GUARD_DIRECTION, "张三欠李四的钱怎么办", "李四欠张三钱，该怎么要回来" },
    { GUARD_DIRECTION, "甲欠乙的钱怎么办", "乙欠甲的钱怎么办" },
    { GUARD_DIRECTION, "客户拖欠公司货款怎么处理", "公司拖欠客户货款怎么处理" },
    { GUARD_DIRECTION, "狗追猫怎么办", "猫追狗怎么办" },
    { GUARD_DIRECTION, "我爱她怎么办", "她爱我怎么办" },
    { GUARD_DIRECTION, "妈妈的姐姐叫什么", "姐姐的妈妈叫什么" },
    { GUARD_DIRECTION, "A向B借钱合法吗", "B向A借钱合法吗" },
    { GUARD_DIRECTION, "手机里的照片怎么导入电脑", "电脑里的照片怎么导入手机" },
    { GUARD_DIRECTION, "谁欠我钱", "我欠谁钱" },
    { GUARD_DIRECTION, "PDF转成Word怎么弄", "Word转成PDF怎么弄" },
    { GUARD_DIRECTION, "中国队打赢日本队", "日本队打赢中国队" },
    { GUARD_DIRECTION, "甲方违约乙方怎么办", "乙方违约甲方怎么办" },
    { GUARD_DIRECTION, "中国出口美国的商品", "美国出口中国的商品" },
    { GUARD_DIRECTION, "卖家拒绝买家退款怎么办", "买家拒绝卖家退款怎么办" },
    { GUARD_DIRECTION, "A公司收购B公司的股份", "B公司收购A公司的股份" },
    { GUARD_DIRECTION, "我想知道老板能不能开除员工", "员工能不能开除老板" },
    { GUARD_DIRECTION, "How do I change my password?", "How do I reset my password?" },
    { GUARD_DIRECTION, "I want to update my PIN", "I want to recover my PIN" },
    { GUARD_DIRECTION, "how do I delete my account", "how do I deactivate my account" },
    { GUARD_DIRECTION, "怎么修改密码", "怎么找回密码" },
};

TEST(exchanged_parts_are_told_apart) {
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        CHECK_STR(guard_name(compare(parts[i].a, parts[i].b)), guard_name(parts[i].want));
}

TEST(each_kind_of_difference_is_found) {
    unsigned seen = 0;
    for (size_t i = 0; i < sizeof(swaps) / sizeof(*swaps); i++)
        seen |= 1u << guard_compare(slice_str(swaps[i].a), slice_str(swaps[i].b), words);
    CHECK_UINT(seen, (2u << GUARD_QUESTION) - 2);
}

/* -- The same ---------------------------------------------------------------------------------- */

static const char *const same[][2] = {
    { "How big is a grown bear?", "How tall is a grown bear?" },
    { "长白山多大", "长白山多高" },
    { "symptoms and causes of a heat stroke", "What are the causes and symptoms of a heat stroke?" },
    { "What does the median mean?", "What is a median?" }, /* a side of two, and one of them: nothing is said */
    { "How do I pay by card on my phone?", "How can I pay with a credit card on my smartphone?" },
    { "How do I rename or delete a folder?", "How can I delete a folder?" },
    { "国庆节图书馆开放吗", "图书馆国庆节开不开放" },
    { "超市几点关门", "超市营业到几点" },
    { "How do I reset it?", "What is the way to reset it?" },
    { "how can I write a letter", "Please tell me how to write a letter" },
    { "Give me 3 ideas", "give me three ideas" },
    { "What is 1,000 times 2?", "1k times two" },
    { "Is 50% much?", "is fifty percent much" },
    { "What's on at 3 pm?", "what is on at 15:00" },
    { "events on 2024-05-01", "events on May 1, 2024" },
    { "Why is it not legal?", "Why is it illegal?" },
    { "Why isn't it enabled?", "Why is it disabled?" },
    { "I can't log in", "I am unable to log in" },
    { "How do I turn off the light?", "how to switch off the light" },
    { "a train from London to Paris", "a train to Paris from London" },
    { "What is NLP about?", "What is natural language processing about?" },
    { "capital of France", "the French capital" },
    { "what does print() do", "explain what print does" },
    { "I want to buy a car. How?", "how do I buy a car" },
    { "怎么修改密码", "如何修改密码？" },
    { "change my password", "how can I modify my password?" },
    { "How do I reset my password?", "How do I recover my password?" },
    { "买猫粮好买狗粮好", "买狗粮好买猫粮好" },
    { "去北京方便去上海方便", "去上海方便去北京方便" },
    { "怎样修改密码呢", "请问修改密码的方法" },
    { "3个苹果", "三个苹果" },
    { "我有3万元", "我有30000元" },
    { "一百的百分之五十", "100的50%" },
    { "2024年5月1日放假吗", "2024-05-01放假吗" },
    { "能不能免费用", "可以免费用吗" },
    { "有没有便宜的", "求便宜的" },
    { "不好意思，洗手间在哪里", "洗手间在哪儿" },
    { "大学怎么选专业", "如何选大学专业" },
    { "从北京到上海怎么走", "北京到上海如何走" },
    { "为什么上不了网", "为什么不能上网" },
    { "ＱＱ怎么注册", "qq如何注册？" },
    { "for my dog, what food is best", "what food is best for my dog" },
    { "are cats and dogs smart", "are dogs and cats smart" },
    { "do cats, dogs and birds get along", "do birds, dogs and cats get along" },
    { "is tea or coffee or water best", "is water or coffee or tea best" },
    { "in winter, which food is good for dogs", "for dogs, which food is good in winter" },
    { "how to sort lists in python", "in python how to sort lists" },
    { "The human body has 206 bones.", "There are 206 bones in the body of a human." },
    { "\U0001F917 Datasets assigns a name to it", "It is the library that assigns a name to it, Datasets" },
    { "is 5 \u2264 3", "is 5 <= 3" },
    { "sum of \u0967\u0968 and 3", "sum of 12 and 3" },
    { "nice \U0001F44D\U0001F3FD what is it", "nice \U0001F44D\U0001F3FF what is it" },
    { "hello \U0001F600 how to bake bread", "hello how to bake bread" },
    { "", "" },
};

TEST(questions_that_ask_the_same_pass) {
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
        CHECK_STR(guard_name(compare(same[i][0], same[i][1])), "same");
}

/* Another order, and the same question. */
static const char *const orders[][2] = {
    { "怎么办理护照", "护照怎么办理" },
    { "明天北京天气怎么样", "北京明天天气怎么样" },
    { "什么是苹果", "苹果是什么" },
    { "怎么学英语", "英语怎么学" },
    { "苹果手机好还是华为手机好", "华为手机好还是苹果手机好" },
    { "苹果手机华为手机哪个好", "华为手机苹果手机哪个好" },
    { "猫和狗能一起养吗", "狗和猫能一起养吗" },
    { "苹果和香蕉，哪个更甜", "香蕉和苹果，哪个更甜" },
    { "孕妇能吃螃蟹吗", "螃蟹孕妇能吃吗" },
    { "水果什么最好吃", "最好吃什么水果" },
    { "我今天生日怎么过", "今天我生日怎么过" },
    { "谁是苹果的老板", "苹果的老板是谁" },
    { "减肥吃什么", "吃什么减肥" },
    { "我想买手机，预算两千", "预算两千，我想买手机" },
    { "学英语用什么软件好", "用什么软件学英语好" },
    { "图书馆在哪里", "哪里有图书馆" },
    { "how do I keep my dog from barking", "how do I stop my dog from barking" },
    { "for my dog, what food is best", "what food is best for my dog" },
    { "how to sort lists in python", "in python how to sort lists" },
    { "a train from London to Paris", "a train to Paris from London" },
    { "What is a good plan?", "what is the good plan" },
    { "type 1 diabetes", "type I diabetes" },
    { "the class I took was hard", "the class that I took was hard" },
    { "World War II causes", "causes of world war 2" },
    { "how to keep fit", "how can I stay fit" },
    { "how to get a job at Google", "how do I get a job at Google" },
    { "meeting on Monday at noon", "meeting at noon on Monday" },
    { "compare cats and dogs", "compare dogs and cats" },
    { "how to talk to a girl to make her like me", "how to make a girl like me when I talk to her" },
    { "what is the best way to get to London", "what's the best way to go to London" },
    { "又胖又矮的女生适合什么发型", "又矮又胖的女生适合什么发型" },
    { "谁有那种动态的搞笑图片", "谁有搞笑的动态图片" },
    { "支付宝怎么绑定银行卡", "银行卡怎么绑定支付宝" },
    { "100的百分之二十等于多少", "百分之二十的100是多少" },
};

TEST(another_order_is_no_exchange) {
    for (size_t i = 0; i < sizeof(orders) / sizeof(*orders); i++)
        CHECK_STR(guard_name(compare(orders[i][0], orders[i][1])), "same");
}

/* -- Whatever comes ------------------------------------------------------------------------------ */

/* In memory of its own length: a sanitizer sees who reads beyond it. */
static enum guard compare_bytes(struct slice a, struct slice b) {
    char *pa = malloc(a.len + 1), *pb = malloc(b.len + 1);
    CHECK(pa != NULL && pb != NULL);
    memcpy(pa, a.ptr, a.len);
    memcpy(pb, b.ptr, b.len);
    enum guard g = guard_compare(slice_of(pa, a.len), slice_of(pb, b.len), words);
    CHECK_INT(guard_compare(slice_of(pb, b.len), slice_of(pa, a.len), words), g);
    free(pa);
    free(pb);
    return g;
}

TEST(a_text_is_the_same_as_itself_whatever_it_is) {
    for (size_t i = 0; i < sizeof(swaps) / sizeof(*swaps); i++) {
        char copy[200];
        slice_copy(copy, sizeof(copy), slice_str(swaps[i].a));
        CHECK_STR(guard_name(compare(swaps[i].a, copy)), "same");
        strcat(copy, " ");
        CHECK_STR(guard_name(compare(swaps[i].a, copy)), "same");
    }
}

TEST(broken_utf8_is_read_to_its_end) {
    static const char *const broken[] = { "\xff", "\xe4\xb8", "a\xe4", "\xf0\x9f\x98", "\xc0\x80", "\xed\xa0\x80", "3\x80 3", "从\xe5", "\"\xe2\x80" };
    for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
        struct slice s = slice_str(broken[i]);
        CHECK(guard_name(compare_bytes(s, SLICE("buy 3 apples"))) != NULL);
        for (size_t n = 0; n <= s.len; n++) compare_bytes(slice_of(s.ptr, n), s);
    }
    struct slice whole = SLICE("2024年5月1日从“北京”到上海，get_user() 50% $3 http://a.b/c don't C++ 百分之三");
    for (size_t n = 0; n <= whole.len; n++) compare_bytes(slice_of(whole.ptr, n), whole);
}

static void fill(char *to, size_t len, const char *piece) {
    size_t n = strlen(piece);
    for (size_t i = 0; i < len; i++) to[i] = piece[i % n];
}

TEST(long_texts_are_compared_and_longer_ones_are_refused) {
    static const char *const pieces[] = { "a ", "3 ", "+ ", "北", "一", "A1 ", "from a to b ", "\"", "\"a\" ", "“北”", "NLP ABC ", "不", "=", "\x80",
                                          "twenty ", "x_y ", "Aa Bb Cc ", ".", "to ", "1-1", "万" };
    static char a[SEMANTIC_MAX_TEXT + 1], b[SEMANTIC_MAX_TEXT + 1];
    for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++)
        for (size_t j = 0; j < sizeof(pieces) / sizeof(*pieces); j++) {
            fill(a, sizeof(a), pieces[i]);
            fill(b, sizeof(b), pieces[j]);
            guard_compare(slice_of(a, SEMANTIC_MAX_TEXT), slice_of(b, SEMANTIC_MAX_TEXT), words);
        }
    fill(a, sizeof(a), "a ");
    CHECK_STR(guard_name(guard_compare(slice_of(a, SEMANTIC_MAX_TEXT), slice_of(a, SEMANTIC_MAX_TEXT - 2), words)), "same");
    CHECK(guard_compare(slice_of(a, sizeof(a)), slice_of(a, 2), words) != GUARD_SAME);
}

/* -- One word --------------------------------------------------------------------------------------- */

static const char *const replaced[][2] = {
    { "How do I replace a bathroom faucet?", "How do I replace a bathroom mirror?" },
    { "How do I fry an egg?", "how can I poach an egg" },
    { "What does a cardiologist do?", "What does a dermatologist do?" }, /* nothing else says anything */
    { "How long does it take to learn welding?", "How long does it take to learn carpentry?" },
    { "怎么做蛋糕", "怎么做饼干" },
    { "怎么更换水龙头", "如何更换马桶？" },
    { "铜的熔点是多少", "锌的熔点是多少" },
    { "怎么申请失业金", "如何申请公积金" },
    { "请问学游泳要多久？", "学滑雪要多久" },
};

static const char *const reworded[][2] = {
    { "How do I repair a leaking pipe?", "How do I fix a leaking pipe?" },
    { "Planning a trip", "plan a trip" },
    { "How do I turn off the radio?", "How do I disable the radio?" }, /* the lists judge rows of words */
    { "The door is not closed", "The door is open" },
    { "What is ten percent of 250?", "calculate 10 percent of 250" },
    { "Which oil is best for frying fish?", "Which pan do I want for cooking rice?" }, /* not one word */
    { "How do I peel an onion?", "How do I peel and slice an onion?" },                /* not replaced */
    { "房子的价格是多少", "房子的价钱是多少" },
    { "出租车怎么收费", "的士怎么收费" },
    { "有什么漂亮的壁纸", "有什么好看的壁纸" },
    { "怎么减肥最有效", "怎样才能减肥成功" },
    { "怎么寻找手机", "怎么找手机" },
    { "修改头像的方法是什么", "怎么修改头像啊，谢谢" },
};

TEST(a_word_that_was_replaced_is_told_by_its_meaning) {
    words = embedder_new(NULL, NULL);
    CHECK(words != NULL);
    for (size_t i = 0; i < sizeof(replaced) / sizeof(*replaced); i++)
        CHECK_STR(guard_name(compare(replaced[i][0], replaced[i][1])), "word");
    for (size_t i = 0; i < sizeof(reworded) / sizeof(*reworded); i++)
        CHECK_STR(guard_name(compare(reworded[i][0], reworded[i][1])), "same");
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
        bool costs = strcmp(same[i][0], "超市几点关门") == 0; /* 关门, 营业到: what it takes for a replaced word */
        CHECK_STR(guard_name(compare(same[i][0], same[i][1])), costs ? "word" : "same");
    }
    embedder_free(words);
    words = NULL;
}

TEST(without_an_embedder_words_are_not_judged) {
    for (size_t i = 0; i < sizeof(replaced) / sizeof(*replaced); i++)
        CHECK_STR(guard_name(compare(replaced[i][0], replaced[i][1])), "same");
}

/* More numbers than there is room for: what is left over counts as well. */
TEST(facts_without_a_place_are_compared) {
    static char a[SEMANTIC_MAX_TEXT], b[SEMANTIC_MAX_TEXT];
    size_t n = 0;
    for (int i = 0; i < 600; i++) n += (size_t)snprintf(a + n, sizeof(a) - n, "%d ", 1000 + i);
    memcpy(b, a, n);
    b[n - 1] = '.';
    CHECK_STR(guard_name(guard_compare(slice_of(a, n), slice_of(b, n), words)), "same");
    b[n - 2] ^= 1;
    CHECK_STR(guard_name(guard_compare(slice_of(a, n), slice_of(b, n), words)), "number");
}
