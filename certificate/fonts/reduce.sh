#!/bin/sh
# Reduces Noto Serif SC to what certificates need: reduce.sh PACKAGE, the unpacked npm package; pyftsubset must be in PATH.
set -eu
package=$1
cd "$(dirname "$0")"

reduce() {
    pyftsubset "$@" --no-hinting --layout-features='' --glyph-names --name-IDs='*' --no-recalc-timestamp \
        --drop-tables+=vhea,vmtx,GSUB,GPOS,GDEF,BASE,STAT
}

# Of Extension A, what the 通用规范汉字表 has.
rare='㑇㑊㕮㘎㙍㙘㙦㛃㛚㛹㟃㠇㠓㤘㥄㧐㧑㧟㫰㬊㬎㬚㭎㭕㮾㰀㳇㳘㳚㴔㵐㶲㸆㸌㺄㻬㽏㿠䁖䂮䃅䃎䅟䌹䎃䎖䏝䏡䏲䐃䓖䓛䓨䓫䓬䗖䗛䗪䗴䜣䝙䢺䢼䣘䥽䦃䲟䲠䲢䴓䴔䴕䴖䴗䴘䴙䶮'
rare="$rare"'㐂㐱㓁㔾㗊㚻㝵㥯㬥䄂䌷䌸䌾䓕䓪䙡䙊䞍䥺䥿䦶䦷䩄䭀䯄䯅'
latin='U+0020-007E,U+00A0-024F,U+02C6-02DD,U+0300-036F,U+0370-03FF,U+0400-045F,U+1E00-1EFF,U+2000-206F,U+20A0-20BF'
signs='U+2100-22FF,U+2460-24FF,U+2500-27BF,U+3000-30FF,U+3105-312F,U+FF00-FFEF,U+FFFD'
reduce "$package/400Regular/NotoSerifSC_400Regular.ttf" --unicodes="$latin,$signs,U+4E00-9FFF,U+20000-33000" \
    --text="$rare" --output-file=NotoSerifSC-Regular.ttf
gzip -9nf NotoSerifSC-Regular.ttf
reduce "$package/600SemiBold/NotoSerifSC_600SemiBold.ttf" --unicodes='U+0020-007E,U+00B7,U+2013,U+2014,U+2026' \
    --text-file=../src/words.rs --output-file=NotoSerifSC-SemiBold.ttf
