//! The tables. Every name here is invented or a common given or family name; none is taken from a list.
//!
//! `t(plain, marked, native)`: Latin without marks, Latin with marks, own script.

use super::{Country, Culture, StemTable, Text};

const fn t(plain: &'static str, marked: &'static str, native: &'static str) -> Text {
    Text {
        plain,
        marked,
        native,
    }
}

const fn c(alpha2: &'static str, alpha3: &'static str, name: &'static str) -> Country {
    Country { alpha2, alpha3, name }
}

/// The cultures. Shares add up to 16.
pub(crate) static CULTURES: [Culture; 7] = [
    Culture {
        share: 3,
        common: WESTERN,
        stems: StemTable {
            syllables: 3,
            onsets: WESTERN_ONSETS,
            rimes: WESTERN_RIMES,
            suffixes: WESTERN_SUFFIXES,
        },
        common_is_family: false,
        particle: Some(("van", " ")),
        native_is_latin: true,
        countries: &[
            c("FR", "FRA", "France"),
            c("DE", "DEU", "Germany"),
            c("NL", "NLD", "Netherlands"),
        ],
    },
    Culture {
        share: 3,
        common: SLAVIC,
        stems: StemTable {
            syllables: 3,
            onsets: SLAVIC_ONSETS,
            rimes: SLAVIC_RIMES,
            suffixes: SLAVIC_SUFFIXES,
        },
        common_is_family: false,
        particle: None,
        native_is_latin: true,
        countries: &[
            c("BG", "BGR", "Bulgaria"),
            c("UA", "UKR", "Ukraine"),
            c("RS", "SRB", "Serbia"),
        ],
    },
    Culture {
        share: 3,
        common: ARABIC,
        stems: StemTable {
            syllables: 3,
            onsets: ARABIC_ONSETS,
            rimes: ARABIC_RIMES,
            suffixes: ARABIC_SUFFIXES,
        },
        common_is_family: false,
        particle: Some(("al", "-")),
        native_is_latin: false,
        countries: &[
            c("JO", "JOR", "Jordan"),
            c("EG", "EGY", "Egypt"),
            c("MA", "MAR", "Morocco"),
        ],
    },
    Culture {
        share: 2,
        common: TURKISH,
        stems: StemTable {
            syllables: 3,
            onsets: TURKISH_ONSETS,
            rimes: TURKISH_RIMES,
            suffixes: TURKISH_SUFFIXES,
        },
        common_is_family: false,
        particle: None,
        native_is_latin: true,
        countries: &[c("TR", "TUR", "Turkey"), c("AZ", "AZE", "Azerbaijan")],
    },
    Culture {
        share: 2,
        common: GREEK,
        stems: StemTable {
            syllables: 3,
            onsets: GREEK_ONSETS,
            rimes: GREEK_RIMES,
            suffixes: GREEK_SUFFIXES,
        },
        common_is_family: false,
        particle: None,
        native_is_latin: true,
        countries: &[c("GR", "GRC", "Greece"), c("CY", "CYP", "Cyprus")],
    },
    Culture {
        share: 1,
        common: CHINESE,
        stems: StemTable {
            syllables: 2,
            onsets: HANZI,
            rimes: NO_RIME,
            suffixes: &[],
        },
        common_is_family: true,
        particle: None,
        native_is_latin: true,
        countries: &[c("CN", "CHN", "China"), c("SG", "SGP", "Singapore")],
    },
    Culture {
        share: 2,
        common: IBERIAN,
        stems: StemTable {
            syllables: 3,
            onsets: IBERIAN_ONSETS,
            rimes: IBERIAN_RIMES,
            suffixes: IBERIAN_SUFFIXES,
        },
        common_is_family: false,
        particle: Some(("de", " ")),
        native_is_latin: true,
        countries: &[
            c("ES", "ESP", "Spain"),
            c("PT", "PRT", "Portugal"),
            c("BR", "BRA", "Brazil"),
        ],
    },
];

/// Women first in every table of given names: the first 16 are women's, the others men's.
static WESTERN: &[Text] = &[
    t("Beatrice", "Béatrice", ""), t("Helene", "Hélène", ""), t("Zoe", "Zoé", ""),
    t("Margot", "Margot", ""), t("Ingrid", "Ingrid", ""), t("Astrid", "Astrid", ""),
    t("Heidi", "Heidi", ""), t("Greta", "Greta", ""), t("Colette", "Colette", ""), t("Fiona", "Fiona", ""),
    t("Edith", "Edith", ""), t("Brigitte", "Brigitte", ""), t("Chloe", "Chloé", ""),
    t("Doris", "Doris", ""), t("Wilma", "Wilma", ""), t("Yvonne", "Yvonne", ""), t("Andre", "André", ""),
    t("Jerome", "Jérôme", ""), t("Gunther", "Günther", ""), t("Jurgen", "Jürgen", ""),
    t("Otto", "Otto", ""), t("Hugo", "Hugo", ""), t("Klaus", "Klaus", ""), t("Pierre", "Pierre", ""),
    t("Emile", "Émile", ""), t("Oscar", "Oscar", ""), t("Walter", "Walter", ""), t("Xavier", "Xavier", ""),
    t("Lukas", "Lukas", ""), t("Torsten", "Torsten", ""), t("Bruno", "Bruno", ""),
    t("Vincent", "Vincent", ""),
];

static WESTERN_ONSETS: &[Text] = &[
    t("b", "b", ""), t("d", "d", ""), t("f", "f", ""), t("g", "g", ""), t("l", "l", ""), t("m", "m", ""),
    t("n", "n", ""), t("p", "p", ""), t("r", "r", ""), t("s", "s", ""), t("t", "t", ""), t("v", "v", ""),
    t("k", "k", ""),
];

static WESTERN_RIMES: &[Text] = &[
    t("a", "a", ""), t("e", "é", ""), t("i", "i", ""), t("o", "ö", ""), t("u", "ü", ""),
];

static WESTERN_SUFFIXES: &[Text] = &[
    t("n", "n", ""), t("r", "r", ""), t("s", "s", ""), t("lt", "lt", ""),
];

static SLAVIC: &[Text] = &[
    t("Anna", "Anna", "Анна"), t("Vera", "Vera", "Вера"), t("Nina", "Nina", "Нина"),
    t("Irina", "Irina", "Ирина"), t("Elena", "Elena", "Елена"), t("Marina", "Marina", "Марина"),
    t("Galina", "Galina", "Галина"), t("Larisa", "Larisa", "Лариса"), t("Polina", "Polina", "Полина"),
    t("Tamara", "Tamara", "Тамара"), t("Raisa", "Raisa", "Раиса"), t("Svetlana", "Svetlana", "Светлана"),
    t("Ludmila", "Ludmila", "Лудмила"), t("Kira", "Kira", "Кира"), t("Alina", "Alina", "Алина"),
    t("Zlata", "Zlata", "Злата"), t("Ivan", "Ivan", "Иван"), t("Petr", "Petr", "Петр"),
    t("Boris", "Boris", "Борис"), t("Oleg", "Oleg", "Олег"), t("Anton", "Anton", "Антон"),
    t("Viktor", "Viktor", "Виктор"), t("Pavel", "Pavel", "Павел"), t("Roman", "Roman", "Роман"),
    t("Denis", "Denis", "Денис"), t("Kirill", "Kirill", "Кирилл"), t("Maksim", "Maksim", "Максим"),
    t("Stepan", "Stepan", "Степан"), t("Vadim", "Vadim", "Вадим"), t("Zoran", "Zoran", "Зоран"),
    t("Dragan", "Dragan", "Драган"), t("Goran", "Goran", "Горан"),
];

static SLAVIC_ONSETS: &[Text] = &[
    t("b", "b", "б"), t("v", "v", "в"), t("g", "g", "г"), t("d", "d", "д"), t("z", "z", "з"),
    t("k", "k", "к"), t("l", "l", "л"), t("m", "m", "м"), t("n", "n", "н"), t("p", "p", "п"),
    t("r", "r", "р"), t("s", "s", "с"), t("t", "t", "т"), t("f", "f", "ф"),
];

static SLAVIC_RIMES: &[Text] = &[
    t("a", "a", "а"), t("e", "e", "е"), t("i", "i", "и"), t("o", "o", "о"), t("u", "u", "у"),
];

static SLAVIC_SUFFIXES: &[Text] = &[
    t("rov", "rov", "ров"), t("nin", "nin", "нин"), t("nko", "nko", "нко"), t("lev", "lev", "лев"),
];

static ARABIC: &[Text] = &[
    t("Amina", "Amina", "أمينة"), t("Fatima", "Fatima", "فاطمة"), t("Khadija", "Khadija", "خديجة"),
    t("Layla", "Layla", "ليلى"), t("Maryam", "Maryam", "مريم"), t("Nadia", "Nadia", "نادية"),
    t("Rania", "Rania", "رانيا"), t("Salma", "Salma", "سلمى"), t("Samira", "Samira", "سميرة"),
    t("Yasmin", "Yasmin", "ياسمين"), t("Zahra", "Zahra", "زهراء"), t("Huda", "Huda", "هدى"),
    t("Dalal", "Dalal", "دلال"), t("Iman", "Iman", "إيمان"), t("Noura", "Noura", "نورة"),
    t("Souad", "Souad", "سعاد"), t("Ahmad", "Ahmad", "أحمد"), t("Bilal", "Bilal", "بلال"),
    t("Faisal", "Faisal", "فيصل"), t("Hassan", "Hassan", "حسن"), t("Ibrahim", "Ibrahim", "إبراهيم"),
    t("Jamal", "Jamal", "جمال"), t("Karim", "Karim", "كريم"), t("Mahmoud", "Mahmoud", "محمود"),
    t("Mustafa", "Mustafa", "مصطفى"), t("Nabil", "Nabil", "نبيل"), t("Omar", "Omar", "عمر"),
    t("Rashid", "Rashid", "راشد"), t("Sami", "Sami", "سامي"), t("Tariq", "Tariq", "طارق"),
    t("Walid", "Walid", "وليد"), t("Yousef", "Yousef", "يوسف"),
];

static ARABIC_ONSETS: &[Text] = &[
    t("b", "b", "ب"), t("t", "t", "ت"), t("d", "d", "د"), t("r", "r", "ر"), t("z", "z", "ز"),
    t("s", "s", "س"), t("f", "f", "ف"), t("q", "q", "ق"), t("k", "k", "ك"), t("l", "l", "ل"),
    t("m", "m", "م"), t("n", "n", "ن"), t("j", "j", "ج"), t("sh", "sh", "ش"), t("kh", "kh", "خ"),
    t("gh", "gh", "غ"),
];

static ARABIC_RIMES: &[Text] = &[
    t("a", "a", ""), t("u", "u", "و"), t("i", "i", "ي"), t("oy", "oy", "وي"),
];

static ARABIC_SUFFIXES: &[Text] = &[
    t("n", "n", "ن"), t("r", "r", "ر"), t("d", "d", "د"), t("m", "m", "م"),
];

static TURKISH: &[Text] = &[
    t("Ayse", "Ayşe", ""), t("Elif", "Elif", ""), t("Emine", "Emine", ""), t("Gulsen", "Gülşen", ""),
    t("Hatice", "Hatice", ""), t("Sebnem", "Şebnem", ""), t("Zeynep", "Zeynep", ""),
    t("Sevgi", "Sevgi", ""), t("Nilufer", "Nilüfer", ""), t("Ozlem", "Özlem", ""), t("Pinar", "Pınar", ""),
    t("Cigdem", "Çiğdem", ""), t("Derya", "Derya", ""), t("Filiz", "Filiz", ""), t("Melek", "Melek", ""),
    t("Nurcan", "Nurcan", ""), t("Ahmet", "Ahmet", ""), t("Burak", "Burak", ""), t("Cem", "Cem", ""),
    t("Emre", "Emre", ""), t("Ertugrul", "Ertuğrul", ""), t("Gokhan", "Gökhan", ""),
    t("Hakan", "Hakan", ""), t("Ilker", "İlker", ""), t("Kemal", "Kemal", ""), t("Mehmet", "Mehmet", ""),
    t("Murat", "Murat", ""), t("Orhan", "Orhan", ""), t("Ozgur", "Özgür", ""), t("Serkan", "Serkan", ""),
    t("Umit", "Ümit", ""), t("Volkan", "Volkan", ""),
];

static TURKISH_ONSETS: &[Text] = &[
    t("b", "b", ""), t("c", "ç", ""), t("d", "d", ""), t("f", "f", ""), t("g", "g", ""), t("h", "h", ""),
    t("k", "k", ""), t("l", "l", ""), t("m", "m", ""), t("n", "n", ""), t("p", "p", ""), t("r", "r", ""),
    t("s", "ş", ""), t("t", "t", ""), t("y", "y", ""), t("z", "z", ""),
];

static TURKISH_RIMES: &[Text] = &[
    t("a", "a", ""), t("e", "e", ""), t("i", "ı", ""), t("o", "ö", ""), t("u", "ü", ""),
];

static TURKISH_SUFFIXES: &[Text] = &[
    t("noglu", "noğlu", ""), t("kan", "kan", ""), t("ser", "ser", ""), t("ral", "ral", ""),
];

static GREEK: &[Text] = &[
    t("Eleni", "Eleni", "Ελένη"), t("Maria", "Maria", "Μαρία"), t("Katerina", "Katerina", "Κατερίνα"),
    t("Sofia", "Sofia", "Σοφία"), t("Despoina", "Despoina", "Δέσποινα"), t("Ioanna", "Ioanna", "Ιωάννα"),
    t("Anastasia", "Anastasia", "Αναστασία"), t("Georgia", "Georgia", "Γεωργία"),
    t("Dimitra", "Dimitra", "Δήμητρα"), t("Kalliopi", "Kalliopi", "Καλλιόπη"),
    t("Foteini", "Foteini", "Φωτεινή"), t("Vasiliki", "Vasiliki", "Βασιλική"),
    t("Theodora", "Theodora", "Θεοδώρα"), t("Athina", "Athina", "Αθηνά"), t("Zoi", "Zoi", "Ζωή"),
    t("Eirini", "Eirini", "Ειρήνη"), t("Georgios", "Georgios", "Γεώργιος"),
    t("Ioannis", "Ioannis", "Ιωάννης"), t("Konstantinos", "Konstantinos", "Κωνσταντίνος"),
    t("Dimitrios", "Dimitrios", "Δημήτριος"), t("Nikolaos", "Nikolaos", "Νικόλαος"),
    t("Panagiotis", "Panagiotis", "Παναγιώτης"), t("Vasileios", "Vasileios", "Βασίλειος"),
    t("Stefanos", "Stefanos", "Στέφανος"), t("Athanasios", "Athanasios", "Αθανάσιος"),
    t("Michail", "Michail", "Μιχαήλ"), t("Theodoros", "Theodoros", "Θεόδωρος"),
    t("Antonios", "Antonios", "Αντώνιος"), t("Spyridon", "Spyridon", "Σπυρίδων"),
    t("Alexandros", "Alexandros", "Αλέξανδρος"), t("Petros", "Petros", "Πέτρος"),
    t("Christos", "Christos", "Χρήστος"),
];

static GREEK_ONSETS: &[Text] = &[
    t("v", "v", "β"), t("g", "g", "γ"), t("d", "d", "δ"), t("z", "z", "ζ"), t("th", "th", "θ"),
    t("k", "k", "κ"), t("l", "l", "λ"), t("m", "m", "μ"), t("n", "n", "ν"), t("x", "x", "ξ"),
    t("p", "p", "π"), t("r", "r", "ρ"), t("s", "s", "σ"), t("t", "t", "τ"), t("f", "f", "φ"),
    t("ch", "ch", "χ"),
];

static GREEK_RIMES: &[Text] = &[
    t("a", "a", "α"), t("e", "e", "ε"), t("i", "i", "ι"), t("o", "o", "ο"),
];

static GREEK_SUFFIXES: &[Text] = &[
    t("ridis", "ridis", "ρίδης"), t("lakis", "lakis", "λάκης"), t("nidis", "nidis", "νίδης"),
    t("makis", "makis", "μάκης"),
];

/// Family names: the stem is the given name.
static CHINESE: &[Text] = &[
    t("Wang", "Wang", "王"), t("Li", "Li", "李"), t("Zhang", "Zhang", "张"), t("Liu", "Liu", "刘"),
    t("Chen", "Chen", "陈"), t("Yang", "Yang", "杨"), t("Huang", "Huang", "黄"), t("Zhao", "Zhao", "赵"),
    t("Wu", "Wu", "吴"), t("Zhou", "Zhou", "周"), t("Xu", "Xu", "徐"), t("Sun", "Sun", "孙"),
    t("Ma", "Ma", "马"), t("Zhu", "Zhu", "朱"), t("Hu", "Hu", "胡"), t("Lin", "Lin", "林"),
    t("Guo", "Guo", "郭"), t("He", "He", "何"), t("Luo", "Luo", "罗"), t("Gao", "Gao", "高"),
    t("Zheng", "Zheng", "郑"), t("Liang", "Liang", "梁"), t("Xie", "Xie", "谢"), t("Song", "Song", "宋"),
    t("Tang", "Tang", "唐"), t("Deng", "Deng", "邓"), t("Feng", "Feng", "冯"), t("Han", "Han", "韩"),
    t("Cao", "Cao", "曹"), t("Peng", "Peng", "彭"), t("Tian", "Tian", "田"), t("Dong", "Dong", "董"),
];

/// One character for each syllable; none begins with a vowel, so two syllables run together are read in one way.
static HANZI: &[Text] = &[
    t("yi", "yi", "一"), t("wei", "wei", "伟"), t("fang", "fang", "芳"), t("na", "na", "娜"),
    t("min", "min", "敏"), t("jing", "jing", "静"), t("li", "li", "丽"), t("qiang", "qiang", "强"),
    t("lei", "lei", "磊"), t("jun", "jun", "军"), t("yang", "yang", "洋"), t("yong", "yong", "勇"),
    t("yan", "yan", "艳"), t("jie", "jie", "杰"), t("juan", "juan", "娟"), t("tao", "tao", "涛"),
    t("ming", "ming", "明"), t("chao", "chao", "超"), t("xiu", "xiu", "秀"), t("xia", "xia", "霞"),
    t("ping", "ping", "平"), t("gang", "gang", "刚"), t("gui", "gui", "桂"), t("ying", "ying", "英"),
    t("hua", "hua", "华"), t("wen", "wen", "文"), t("hui", "hui", "辉"), t("yu", "yu", "玉"),
    t("lan", "lan", "兰"), t("jian", "jian", "建"), t("guo", "guo", "国"), t("zhi", "zhi", "志"),
    t("hong", "hong", "红"), t("mei", "mei", "梅"), t("chun", "chun", "春"), t("peng", "peng", "鹏"),
    t("fei", "fei", "飞"), t("hao", "hao", "浩"), t("xuan", "xuan", "轩"), t("zi", "zi", "子"),
    t("han", "han", "涵"), t("xin", "xin", "欣"), t("bo", "bo", "博"), t("si", "si", "思"),
    t("jia", "jia", "佳"), t("qi", "qi", "琪"), t("rui", "rui", "睿"), t("chen", "chen", "晨"),
    t("xi", "xi", "曦"), t("tian", "tian", "天"), t("you", "you", "佑"), t("kai", "kai", "凯"),
    t("ze", "ze", "泽"), t("hai", "hai", "海"), t("lin", "lin", "林"), t("sen", "sen", "森"),
    t("song", "song", "松"), t("bai", "bai", "柏"), t("yun", "yun", "云"), t("long", "long", "龙"),
    t("hu", "hu", "虎"), t("shan", "shan", "山"), t("chuan", "chuan", "川"), t("jiang", "jiang", "江"),
    t("he", "he", "河"), t("shui", "shui", "水"), t("huo", "huo", "火"), t("jin", "jin", "金"),
    t("mu", "mu", "木"), t("tu", "tu", "土"), t("shi", "shi", "石"), t("feng", "feng", "峰"),
    t("ling", "ling", "岭"), t("xue", "xue", "雪"), t("bing", "bing", "冰"), t("shuang", "shuang", "霜"),
    t("lu", "lu", "露"), t("ya", "ya", "雅"), t("qin", "qin", "琴"), t("shu", "shu", "书"), t("ci", "ci", "词"),
    t("ge", "ge", "歌"), t("fu", "fu", "赋"), t("ren", "ren", "仁"), t("zhong", "zhong", "忠"),
    t("xiao", "xiao", "孝"), t("lian", "lian", "廉"), t("xie", "xie", "谐"), t("ning", "ning", "宁"),
    t("kang", "kang", "康"), t("shou", "shou", "寿"), t("qing", "qing", "庆"), t("xiang", "xiang", "祥"),
    t("ji", "ji", "吉"), t("rong", "rong", "荣"), t("chang", "chang", "昌"), t("sheng", "sheng", "盛"),
    t("xing", "xing", "兴"), t("wang", "wang", "旺"), t("fa", "fa", "发"), t("da", "da", "达"),
    t("cheng", "cheng", "成"), t("gong", "gong", "功"), t("huang", "huang", "凰"), t("zhen", "zhen", "珍"),
    t("zhu", "zhu", "珠"), t("bao", "bao", "宝"), t("lang", "lang", "琅"), t("yao", "yao", "瑶"),
    t("ju", "ju", "菊"), t("qian", "qian", "茜"), t("miao", "miao", "苗"), t("bei", "bei", "蓓"),
    t("ting", "ting", "婷"), t("wan", "wan", "婉"), t("yuan", "yuan", "媛"), t("jiao", "jiao", "娇"),
    t("ni", "ni", "妮"), t("ru", "ru", "如"), t("meng", "meng", "梦"), t("guang", "guang", "光"),
    t("liang", "liang", "亮"), t("yue", "yue", "月"), t("ri", "ri", "日"), t("xu", "xu", "旭"),
    t("dong", "dong", "东"), t("nan", "nan", "南"), t("zheng", "zheng", "正"), t("zuo", "zuo", "左"),
    t("shang", "shang", "上"), t("gu", "gu", "古"), t("zao", "zao", "早"), t("qiu", "qiu", "秋"),
    t("nuan", "nuan", "暖"), t("che", "che", "澈"), t("dan", "dan", "丹"), t("tong", "tong", "彤"),
    t("cai", "cai", "彩"), t("chou", "chou", "绸"), t("sha", "sha", "纱"), t("guan", "guan", "冠"),
    t("huan", "huan", "环"), t("pei", "pei", "佩"), t("kun", "kun", "坤"), t("xun", "xun", "巽"),
    t("kan", "kan", "坎"), t("gen", "gen", "艮"), t("dui", "dui", "兑"), t("ye", "ye", "叶"),
    t("geng", "geng", "耕"), t("nong", "nong", "农"), t("qiao", "qiao", "樵"), t("xiong", "xiong", "兄"),
    t("xian", "xian", "仙"), t("dao", "dao", "道"), t("mo", "mo", "墨"), t("zong", "zong", "纵"),
    t("heng", "heng", "横"), t("shuo", "shuo", "说"), t("shun", "shun", "舜"), t("wu", "wu", "武"),
    t("sui", "sui", "隋"), t("liao", "liao", "辽"), t("man", "man", "满"), t("cang", "cang", "藏"),
    t("zhuang", "zhuang", "壮"), t("ha", "ha", "哈"), t("sa", "sa", "萨"), t("ke", "ke", "克"),
    t("ta", "ta", "塔"), t("lun", "lun", "伦"), t("zhe", "zhe", "哲"), t("wo", "wo", "斡"), t("ba", "ba", "拔"),
    t("men", "men", "门"), t("lou", "lou", "楼"), t("tai", "tai", "台"), t("ding", "ding", "顶"),
    t("gao", "gao", "高"), t("luo", "luo", "罗"), t("zhou", "zhou", "周"), t("tang", "tang", "汤"),
    t("zhang", "zhang", "长"),
];

static NO_RIME: &[Text] = &[
    t("", "", ""),
];

static IBERIAN: &[Text] = &[
    t("Lucia", "Lucía", ""), t("Ines", "Inés", ""), t("Monica", "Mónica", ""), t("Begona", "Begoña", ""),
    t("Pilar", "Pilar", ""), t("Rocio", "Rocío", ""), t("Dolores", "Dolores", ""),
    t("Esperanza", "Esperanza", ""), t("Beatriz", "Beatriz", ""), t("Carmen", "Carmen", ""),
    t("Leonor", "Leonor", ""), t("Conceicao", "Conceição", ""), t("Teresa", "Teresa", ""),
    t("Ximena", "Ximena", ""), t("Graca", "Graça", ""), t("Fernanda", "Fernanda", ""),
    t("Alvaro", "Álvaro", ""), t("Joaquin", "Joaquín", ""), t("Jose", "José", ""),
    t("Martin", "Martín", ""), t("Ramon", "Ramón", ""), t("Hernan", "Hernán", ""),
    t("Goncalo", "Gonçalo", ""), t("Joao", "João", ""), t("Tomas", "Tomás", ""), t("Vitor", "Vítor", ""),
    t("Ruben", "Rubén", ""), t("Sebastian", "Sebastián", ""), t("Ignacio", "Ignacio", ""),
    t("Diego", "Diego", ""), t("Eduardo", "Eduardo", ""), t("Zacarias", "Zacarías", ""),
];

static IBERIAN_ONSETS: &[Text] = &[
    t("b", "b", ""), t("c", "c", ""), t("d", "d", ""), t("f", "f", ""), t("g", "g", ""), t("l", "l", ""),
    t("m", "m", ""), t("n", "ñ", ""), t("p", "p", ""), t("r", "r", ""), t("s", "s", ""), t("t", "t", ""),
    t("v", "v", ""), t("z", "z", ""),
];

static IBERIAN_RIMES: &[Text] = &[
    t("a", "a", ""), t("e", "e", ""), t("i", "í", ""), t("o", "o", ""), t("u", "u", ""),
];

static IBERIAN_SUFFIXES: &[Text] = &[
    t("nez", "nez", ""), t("res", "res", ""), t("les", "les", ""), t("ral", "ral", ""),
];
