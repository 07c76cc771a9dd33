//! What a match says in English was done to the work, in Chinese.

/// The words of a geometry (`the work …`). What is not known stays as it is.
pub(crate) fn in_chinese(words: &str) -> String {
    let mut parts = Vec::new();
    let mut rest = words;
    while !rest.is_empty() {
        // Where something lies in a larger picture has commas in it, and stands last.
        let (part, after) = match rest.strip_prefix(INSIDE) {
            Some(at) => (format!("位于更大的图片中（{at}）"), ""),
            None => {
                let (part, after) = rest.split_once(", ").unwrap_or((rest, ""));
                (one(part), after)
            }
        };
        parts.push(part);
        rest = after;
    }
    parts.join("，")
}

/// One kind of the change, as scans count them.
pub(crate) fn kind_in_chinese(kind: &str) -> String {
    let known = KINDS.iter().find(|(english, _)| *english == kind);
    known.map_or_else(|| in_chinese(kind), |(_, chinese)| (*chinese).to_owned())
}

fn one(part: &str) -> String {
    if let Some((first, turn)) = part.split_once(" and rotated") {
        return format!("{}并{}", one(first), one(&format!("rotated{turn}")));
    }
    let between = |start: &str, end: &str| part.strip_prefix(start)?.strip_suffix(end);
    if let Some((_, chinese)) = WHOLE.iter().find(|(english, _)| *english == part) {
        return (*chinese).to_owned();
    }
    for (start, end, before, after) in AROUND {
        if let Some(value) = between(start, end) {
            return format!("{before}{value}{after}");
        }
    }
    part.to_owned()
}

const INSIDE: &str = "inside a larger picture at ";
const WHOLE: [(&str, &str); 6] = [
    ("mirrored across the diagonal from top left to bottom right", "沿左上至右下对角线镜像"),
    ("mirrored across the diagonal from top right to bottom left", "沿右上至左下对角线镜像"),
    ("as it is", "未改变位置"),
    ("mirrored left to right", "左右镜像"),
    ("mirrored top to bottom", "上下镜像"),
    ("rotated by 180°", "旋转 180°"),
];
/// What is around a value in English, and in Chinese.
const AROUND: [(&str, &str, &str, &str); 5] = [
    ("rotated by ", "° counterclockwise", "逆时针旋转 ", "°"),
    ("rotated by ", "° clockwise", "顺时针旋转 ", "°"),
    ("stretched to be ", " times wider", "横向拉伸 ", " 倍"),
    ("stretched to be ", " times higher", "纵向拉伸 ", " 倍"),
    ("cropped to ", " % of the work", "裁切至作品的 ", "%"),
];
const KINDS: [(&str, &str); 7] = [
    ("identical", "完全相同"),
    ("re-encoded", "重新编码"),
    ("mirrored", "镜像"),
    ("rotated", "旋转"),
    ("stretched", "拉伸"),
    ("cropped", "裁切"),
    ("inside a larger picture", "图中图"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told_in_chinese() {
        for (english, chinese) in [
            ("as it is", "未改变位置"),
            ("mirrored left to right", "左右镜像"),
            ("rotated by 12° counterclockwise", "逆时针旋转 12°"),
            (
                "mirrored left to right and rotated by 90° clockwise, cropped to 31 % of the work",
                "左右镜像并顺时针旋转 90°，裁切至作品的 31%",
            ),
            (
                "stretched to be 1.2 times wider, inside a larger picture at 1, 2, 30 × 40",
                "横向拉伸 1.2 倍，位于更大的图片中（1, 2, 30 × 40）",
            ),
            ("something new", "something new"),
            ("", ""),
        ] {
            assert_eq!(in_chinese(english), chinese);
        }
        assert_eq!(kind_in_chinese("cropped"), "裁切");
    }
}
