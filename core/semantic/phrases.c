/* phrases.c -- words of questions that mean the same, and those that mean little.
 *
 *     "请问如何退款呢"                 ->  怎么 退款
 *     "how can i get a refund please"  ->  how can obtain refund
 *
 * It is no dictionary.  It has what questions are full of: question words, courtesy, particles, a few words for
 * everyday things.  Who compares texts looks at them both as they are written and with these exchanged,
 * so that what is too generous here (好看 is not always 漂亮) costs little.
 *
 * The rows ascend by their bytes (test_pair.c checks it): those with the same first character are neighbours. */
#include "semantic/phrases.h"

#include <string.h>

#define F(text) { text, "", PHRASE_FILLER }
#define Q(text, means) { text, means, PHRASE_QUESTION }
#define N(text, means) { text, means, PHRASE_NEGATION }
#define O(text, means) { text, means, PHRASE_OTHER }

const struct phrase phrases[] = {
    F("a"), Q("able", "can"), F("about"), O("acquire", "obtain"), O("alter", "change"), F("am"), F("an"), F("and"),
    F("any"), O("app", "软件"), Q("are", "is"), Q("aren", "is"), F("as"), O("assist", "help"), F("at"),
    O("automobile", "car"), F("be"), O("become", "become"), O("becoming", "become"), F("been"), O("begin", "begin"),
    O("begins", "begin"), F("being"), O("believe", "think"), O("best", "best"), O("better", "best"),
    O("big", "large"), O("biggest", "large"), O("book", "book"), O("books", "book"), O("boost", "increase"),
    O("bought", "buy"), O("build", "make"), O("building", "make"), O("buy", "buy"), O("buying", "buy"), F("by"),
    Q("can", "can"), N("cannot", "not"), O("car", "car"), O("career", "job"), O("cars", "car"), O("cash", "money"),
    Q("cause", "why"), Q("causes", "why"), O("cell", "phone"), O("cellphone", "phone"), O("change", "change"),
    O("changing", "change"), O("child", "kid"), O("children", "kid"), O("companies", "company"),
    O("company", "company"), F("could"), N("couldn", "not"), O("create", "make"), O("creating", "make"), F("d"),
    O("decrease", "reduce"), O("define", "mean"), O("definition", "mean"), O("delete", "remove"),
    O("deleting", "remove"), O("describe", "explain"), F("did"), N("didn", "not"), O("differ", "difference"),
    O("difference", "difference"), O("differences", "difference"), O("different", "difference"), F("do"), F("does"),
    N("doesn", "not"), N("don", "not"), F("done"), N("dont", "not"), O("erase", "remove"), O("example", "example"),
    O("examples", "example"), O("explain", "explain"), O("fast", "fast"), O("faster", "fast"), O("film", "movie"),
    O("films", "movie"), O("find", "find"), O("finding", "find"), O("firm", "company"), O("fix", "fix"),
    O("fixing", "fix"), F("for"), F("from"), O("gain", "obtain"), O("get", "obtain"), O("getting", "obtain"),
    O("good", "best"), O("got", "obtain"), O("great", "best"), Q("had", "has"), O("happen", "happen"),
    O("happened", "happen"), O("happens", "happen"), Q("has", "has"), Q("have", "has"), Q("having", "has"),
    O("help", "help"), Q("how", "how"), O("huge", "large"), F("i"), O("image", "picture"), O("images", "picture"),
    O("importance", "important"), O("important", "important"), O("improve", "increase"), O("improving", "increase"),
    F("in"), O("increase", "increase"), O("increasing", "increase"), O("india", "india"), O("indian", "india"),
    O("instance", "example"), F("into"), Q("is", "is"), Q("isn", "is"), F("it"), F("its"), O("job", "job"),
    O("jobs", "job"), F("just"), O("kid", "kid"), O("kids", "kid"), F("know"), O("language", "language"),
    O("languages", "language"), O("large", "large"), O("largest", "large"), O("learn", "learn"),
    O("learning", "learn"), F("let"), O("life", "live"), F("like"), O("live", "live"), O("living", "live"), F("ll"),
    O("locate", "find"), Q("long", "long"), O("look", "find"), O("lose", "reduce"), O("lower", "reduce"),
    O("lowering", "reduce"), F("m"), O("made", "make"), O("make", "make"), O("making", "make"), Q("many", "many"),
    Q("may", "can"), F("me"), O("mean", "mean"), O("meaning", "mean"), O("means", "mean"), Q("might", "can"),
    O("mobile", "phone"), O("modify", "change"), O("money", "money"), O("movie", "movie"), O("movies", "movie"),
    Q("much", "many"), F("my"), O("need", "need"), O("needed", "need"), O("needs", "need"), N("neither", "not"),
    N("never", "not"), N("no", "not"), N("none", "not"), N("nor", "not"), N("not", "not"), N("nothing", "not"),
    O("obtain", "obtain"), F("of"), F("on"), F("one"), O("opinion", "think"), F("our"), O("pc", "电脑"),
    F("people"), F("person"), O("phone", "phone"), O("photo", "picture"), O("photos", "picture"),
    O("picture", "picture"), O("pictures", "picture"), F("please"), Q("possible", "can"), Q("possibly", "can"),
    O("purchase", "buy"), O("quick", "fast"), O("quickly", "fast"), O("quit", "stop"), O("raise", "increase"),
    O("rapid", "fast"), O("rapidly", "fast"), F("re"), Q("reason", "why"), Q("reasons", "why"),
    O("reduce", "reduce"), O("reducing", "reduce"), O("remove", "remove"), O("removing", "remove"),
    O("repair", "fix"), O("require", "need"), O("required", "need"), O("resolve", "fix"), F("s"), F("shall"),
    F("should"), N("shouldn", "not"), O("significant", "important"), O("site", "website"), O("sites", "website"),
    O("smartphone", "phone"), F("so"), O("solve", "fix"), F("some"), F("someone"), O("speak", "speak"),
    O("speaking", "speak"), O("start", "begin"), O("started", "begin"), O("starting", "begin"), O("stop", "stop"),
    O("study", "learn"), O("studying", "learn"), N("t", "not"), O("talk", "speak"), F("tell"), F("that"), F("the"),
    F("there"), F("these"), O("think", "think"), F("this"), F("those"), O("thought", "think"),
    O("thoughts", "think"), F("to"), O("top", "best"), F("us"), O("use", "use"), O("used", "use"), O("uses", "use"),
    O("using", "use"), F("ve"), O("vehicle", "car"), O("vehicles", "car"), F("want"), F("was"), Q("way", "how"),
    Q("ways", "how"), F("we"), O("website", "website"), O("websites", "website"), F("were"), Q("what", "what"),
    Q("whats", "what"), Q("when", "when"), Q("where", "where"), Q("which", "which"), Q("who", "who"),
    Q("whom", "who"), Q("whose", "who"), Q("why", "why"), F("will"), F("with"), N("without", "not"),
    N("won", "not"), O("work", "job"), F("would"), N("wouldn", "not"), O("write", "write"), O("writing", "write"),
    O("written", "write"), F("you"), F("your"), F("一下"), F("一个"), F("一些"), F("一种"), F("一般"),
    O("丈夫", "丈夫"), O("上", "上"), O("上边", "上"), O("上面", "上"), O("下", "下载"),
    O("下载", "下载"), N("不", "不"), O("不一样", "区别"), N("不会", "不"), N("不可", "不"),
    N("不可以", "不"), O("不同", "区别"), N("不得", "不"), N("不是", "不"), N("不用", "不"),
    N("不能", "不"), N("不要", "不"), O("不过", "但"), O("不错", "好"), N("不需要", "不"), F("与"),
    F("个"), O("中", "里"), Q("为什", "为什么"), Q("为什么", "为什么"), Q("为何", "为什么"),
    Q("为啥", "为什么"), F("之"), F("也"), O("书写", "写"), O("买", "购买"), F("了"), F("些"),
    F("亲"), F("亲们"), Q("什么", "什么"), Q("什么人", "谁"), Q("什么价", "多少钱"),
    Q("什么价格", "多少钱"), Q("什么原因", "为什么"), O("什么名字", "名字"),
    Q("什么地方", "哪里"), O("什么意思", "意思"), Q("什么时候", "什么时候"),
    Q("什么时间", "什么时候"), O("什么歌", "歌曲"), Q("什麽", "什么"), O("仅", "只"),
    O("仅仅", "只"), O("介绍", "推荐"), O("代表什么", "意思"), F("以及"), F("们"),
    Q("价位", "多少钱"), Q("价格", "多少钱"), Q("价格多少", "多少钱"),
    Q("价格是多少", "多少钱"), Q("价钱", "多少钱"), O("企业", "公司"), Q("会", "能不"),
    Q("会不会", "能不"), O("但", "但"), O("但是", "但"), Q("何", "什么"), Q("何人", "谁"),
    Q("何处", "哪里"), Q("何时", "什么时候"), O("作", "做"), O("作用", "作用"),
    O("使用", "使用"), O("修改", "修改"), O("倘若", "如果"), O("假如", "如果"), O("做", "做"),
    O("做出", "做"), O("儿童", "孩子"), O("公司", "公司"), O("关于", "关于"), F("具体"),
    O("内", "里"), F("再"), O("写", "写"), O("写完", "完结"), O("准备", "准备"), Q("几", "多少"),
    Q("几个", "多少"), Q("几天", "多久"), Q("几时", "什么时候"), Q("几点", "什么时候"),
    Q("几点钟", "什么时候"), O("分别", "区别"), O("删", "删除"), O("删掉", "删除"),
    O("删除", "删除"), O("利用", "使用"), N("别", "不"), F("到底"), O("制作", "做"),
    O("办", "办理"), O("办法", "方法"), O("办理", "办理"), O("办理手续", "办理"),
    O("功效", "作用"), O("功用", "作用"), O("功能", "作用"), N("勿", "不"), O("包含", "含"),
    O("包括", "含"), O("区别", "区别"), O("医治", "治疗"), O("十分", "特别"),
    Q("原因", "为什么"), F("又"), F("及"), O("变", "变成"), O("变为", "变成"), O("变成", "变成"),
    O("变更", "修改"), O("只", "只"), O("只有", "只"), O("只能", "只"), O("叫什么", "名字"),
    O("叫什么名", "名字"), O("叫什么名字", "名字"), O("叫啥", "名字"), O("叫啥名字", "名字"),
    Q("可", "能不"), Q("可不可以", "能不"), Q("可以", "能不"), Q("可否", "能不"),
    O("可是", "但"), O("吃", "吃"), F("各位"), F("各位大侠"), O("名", "名字"), O("名字", "名字"),
    O("名字叫什么", "名字"), O("名称", "名字"), F("吗"), F("吧"), O("含", "含"),
    O("含义", "意思"), O("含有", "含"), F("呀"), F("告诉我"), F("呗"), F("呢"), F("呵呵"),
    Q("咋", "怎么"), Q("咋样", "怎么"), F("和"), F("哈"), F("哎"), F("哟"), F("哦"), Q("哪", "哪里"),
    Q("哪一个", "哪个"), Q("哪一款", "哪个"), Q("哪一种", "哪个"), Q("哪个", "哪个"),
    Q("哪些", "什么"), Q("哪位", "哪个"), F("哪位知道"), Q("哪儿", "哪里"), Q("哪几", "什么"),
    Q("哪家", "哪个"), Q("哪支", "哪个"), Q("哪款", "哪个"), Q("哪种", "哪个"),
    Q("哪里", "哪里"), F("唉"), F("啊"), F("啊啊"), Q("啥", "什么"), Q("啥价", "多少钱"),
    Q("啥原因", "为什么"), Q("啥地方", "哪里"), O("啥意思", "意思"), Q("啥时候", "什么时候"),
    Q("啥时间", "什么时候"), F("啦"), O("喜欢", "喜欢"), O("喜爱", "喜欢"), F("嗯"), F("嘛"),
    F("噢"), O("图", "图片"), O("图像", "图片"), O("图片", "图片"), Q("在哪", "哪里"),
    Q("在哪儿", "哪里"), Q("在哪里", "哪里"), F("在线等"), O("增加", "增加"),
    O("增多", "增加"), O("增长", "增加"), O("多", "多"), Q("多久", "多久"), Q("多大", "多少"),
    Q("多少", "多少"), Q("多少天", "多久"), Q("多少时间", "多久"), Q("多少钱", "多少钱"),
    F("多谢"), Q("多钱", "多少钱"), Q("多长", "多久"), Q("多长时间", "多久"), F("大侠"),
    F("大家"), F("大神"), O("大结局", "完结"), O("大量", "多"), O("天气", "天气"),
    O("天气预报", "天气"), O("女人", "女人"), O("女友", "女友"), O("女孩", "女人"),
    O("女孩子", "女人"), O("女性", "女人"), O("女朋友", "女友"), O("女生", "女人"),
    O("女的", "女人"), O("好", "好"), O("好处", "作用"), O("好多", "多"), O("好的", "好"),
    O("好看", "漂亮"), O("如今", "现在"), Q("如何", "怎么"), Q("如何才能", "怎么"),
    O("如果", "如果"), O("妈", "母亲"), O("妈妈", "母亲"), O("妻子", "妻子"), O("婴儿", "宝宝"),
    O("媳妇", "妻子"), Q("存在", "有没有"), O("孩子", "孩子"), O("完结", "完结"),
    O("官网", "网站"), O("宝宝", "宝宝"), O("宝贝", "宝宝"), O("对于", "关于"),
    O("小孩", "孩子"), O("小孩子", "孩子"), O("小朋友", "孩子"), F("就"), O("尽快", "快"),
    Q("属于", "是不"), O("差别", "区别"), O("差异", "区别"), O("希望", "想"), F("帮忙"),
    F("帮我"), F("并"), O("应用", "软件"), F("应该"), O("开头", "开始"), O("开始", "开始"),
    O("弄", "做"), O("当前", "现在"), O("影响", "影响"), O("影片", "电影"), F("很"),
    O("很多", "多"), F("得"), Q("得以", "能不"), O("快", "快"), O("快速", "快"), Q("怎么", "怎么"),
    Q("怎么会", "怎么"), Q("怎么回事", "为什么"), Q("怎么才能", "怎么"), Q("怎么样", "怎么"),
    Q("怎么着", "怎么"), Q("怎么能", "怎么"), Q("怎样", "怎么"), Q("怎样才能", "怎么"),
    Q("怎麽", "怎么"), F("急求"), O("想", "想"), F("想知道"), O("想要", "想"), F("想问"),
    F("想问一下"), F("想问下"), O("意义", "意思"), O("意思", "意思"), F("感谢"), F("我想知道"),
    O("或", "或"), O("或者", "或"), F("所"), O("手机", "手机"), F("才"), O("打算", "想"),
    O("技巧", "方法"), F("把"), F("拜托"), O("挣钱", "赚钱"), O("换", "修改"), O("推介", "推荐"),
    O("推荐", "推荐"), O("提升", "提高"), O("提高", "提高"), O("搞", "做"), O("撰写", "写"),
    O("收费", "费用"), O("改", "修改"), O("方式", "方法"), O("方法", "方法"), N("无", "不"),
    N("无法", "不"), N("无需", "不"), Q("是", "是不"), Q("是不是", "是不"), Q("是什么", "什么"),
    O("是什么意思", "意思"), Q("是否", "是不"), Q("是啥", "什么"), Q("是谁", "谁"),
    O("更换", "修改"), O("更改", "修改"), O("最佳", "最好"), O("最好", "最好"),
    O("最棒", "最好"), Q("有", "有没有"), F("有人知道"), Q("有什么", "什么"),
    O("有什么不同", "区别"), O("有什么区别", "区别"), O("有何区别", "区别"),
    O("有关", "关于"), Q("有哪些", "什么"), Q("有啥", "什么"), Q("有无", "有没有"),
    Q("有木有", "有没有"), Q("有没有", "有没有"), F("有没有人知道"), F("有知道"),
    F("有谁知道"), O("服用", "吃"), N("未", "不"), F("来着"), O("极", "特别"), O("查", "查询"),
    O("查到", "查询"), O("查找", "查询"), O("查看", "查询"), O("查询", "查询"), O("歌", "歌曲"),
    O("歌曲", "歌曲"), O("母亲", "母亲"), F("比较"), O("比较好", "好"), O("毛病", "生病"),
    F("求"), F("求助"), F("求教"), F("求求"), F("求解"), N("没", "不"), N("没办法", "不"),
    N("没有", "不"), N("没法", "不"), O("治", "治疗"), O("治好", "治疗"), O("治疗", "治疗"),
    O("法子", "方法"), O("注册", "注册"), O("涵义", "意思"), O("清除", "删除"),
    O("漂亮", "漂亮"), O("照片", "图片"), O("爱", "喜欢"), O("父亲", "父亲"), O("爸", "父亲"),
    O("爸爸", "父亲"), O("片子", "电影"), O("特", "特别"), O("特别", "特别"), O("现今", "现在"),
    O("现在", "现在"), Q("甚么", "什么"), O("用", "使用"), O("用处", "作用"), O("用途", "作用"),
    N("甭", "不"), O("申办", "申请"), O("申请", "申请"), O("电影", "电影"), O("电脑", "电脑"),
    O("电视剧", "电视剧"), O("男人", "男人"), O("男友", "男友"), O("男孩", "男人"),
    O("男孩子", "男人"), O("男性", "男人"), O("男朋友", "男友"), O("男生", "男人"),
    O("男的", "男人"), O("疾病", "生病"), O("病", "生病"), O("登记", "注册"), F("的"),
    O("目前", "现在"), O("相片", "图片"), O("眼下", "现在"), F("知道"), Q("神马", "什么"),
    F("种"), O("移动电话", "手机"), F("究竟"), O("窍门", "方法"), O("站点", "网站"),
    O("筹备", "准备"), Q("算", "是不"), Q("算不算", "是不"), O("结局", "完结"),
    O("结束", "完结"), F("给"), F("给我"), O("网址", "网站"), O("网站", "网站"), O("美", "漂亮"),
    O("美丽", "漂亮"), O("老公", "丈夫"), O("老妈", "母亲"), O("老婆", "妻子"),
    O("老爸", "父亲"), F("而"), Q("能", "能不"), Q("能不能", "能不"), Q("能否", "能不"),
    Q("能够", "能不"), O("花费", "费用"), O("若", "如果"), N("莫", "不"), Q("行不行", "能不"),
    O("表示什么", "意思"), F("被"), O("要", "想"), O("要是", "如果"), O("计算机", "电脑"),
    O("许多", "多"), O("设定", "设置"), O("设置", "设置"), F("该"), F("请"), F("请教"), F("请问"),
    Q("谁", "谁"), F("谁知道"), F("谁能告诉我"), F("谢谢"), F("谢谢了"), O("购", "购买"),
    O("购买", "购买"), O("费用", "费用"), O("赚钱", "赚钱"), O("起始", "开始"), O("超", "特别"),
    O("超级", "特别"), F("跟"), F("跪求"), O("软件", "软件"), O("较好", "好"), O("迅速", "快"),
    O("运用", "使用"), F("还"), O("还是", "或"), F("这"), F("这个"), O("连续剧", "电视剧"),
    O("选购", "购买"), O("途径", "方法"), F("那"), F("都"), Q("都有什么", "什么"),
    Q("都有哪些", "什么"), O("采用", "使用"), O("里", "里"), O("里头", "里"), O("里边", "里"),
    O("里面", "里"), F("问一下"), F("问下"), O("需", "想"), O("需要", "想"), N("非", "不"),
    O("非常", "特别"), O("须要", "想"), F("额"), O("食用", "吃"), F("高手"), F("麻烦"),
};
#undef F
#undef Q
#undef N
#undef O

const size_t phrase_count = sizeof(phrases) / sizeof(*phrases);

static int compare(const char *text, struct slice s) {
    size_t len = strlen(text);
    int c = memcmp(text, s.ptr, len < s.len ? len : s.len);
    return c != 0 ? c : (len > s.len) - (len < s.len);
}

/* The first row that is not less than s. */
static size_t lower_bound(struct slice s) {
    size_t lo = 0, hi = phrase_count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (compare(phrases[mid].text, s) < 0) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

const struct phrase *phrase_of_word(struct slice s) {
    size_t i = lower_bound(s);
    return i < phrase_count && compare(phrases[i].text, s) == 0 ? &phrases[i] : NULL;
}

const struct phrase *phrase_at(const char *p, const char *end) {
    const struct phrase *best = NULL;
    if (end - p < 3) return NULL;
    /* Of rows that begin like p a longer one comes later. */
    for (size_t i = lower_bound(slice_of(p, 3)); i < phrase_count; i++) {
        size_t len = strlen(phrases[i].text);
        if (len < 3 || memcmp(phrases[i].text, p, 3) != 0) break;
        if ((size_t)(end - p) >= len && memcmp(phrases[i].text, p, len) == 0) best = &phrases[i];
    }
    return best;
}
