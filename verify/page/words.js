// Every word that the page says, in Chinese and English; what comes from files is never in here.
'use strict';

let language = (navigator.language || 'en').toLowerCase().startsWith('zh') ? 'zh' : 'en';

// The words for a key in the language of the page.
const t = (key, ...given) => inLanguage(language, key, ...given);

function inLanguage(which, key, ...given) {
  const words = WORDS[key][which === 'zh' ? 0 : 1];
  return typeof words === 'function' ? words(...given) : words;
}

// Characters that end a line, reorder it, or cannot be seen: those that a claim escapes (verify/src/text.rs).
const HIDES = /[\p{Cc}\p{Cs}\u00AD\u034F\u061C\u115F\u1160\u17B4\u17B5\u180B-\u180F\u200B-\u200F\u2028-\u202E\u2060-\u206F\u2800\u3164\uFE00-\uFE0D\uFEFF\uFFA0\uFFF0-\uFFFB\u{1BCA0}-\u{1BCA3}\u{1D173}-\u{1D17A}\u{E0000}-\u{E0FFF}]/gu;
const byNumber = (char) => `⟨U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩${char === '\n' ? '\n' : ''}`;

// A text from outside: nothing in it hides, and nothing in it moves what stands around it. Between the two characters
// that isolate, which `el` makes an element of, nothing else can be one of them.
const outside = (text) => `\u2068${String(text).replace(HIDES, byNumber)}\u2069`;

// The parts of a text, isolated or not. What is not is of the page itself; should it hide anything, that is shown as well.
const partsOf = (text) => text.split(/(\u2068[^\u2068\u2069]*\u2069)/).filter(Boolean)
  .map((part) => (part.startsWith('\u2068') && part.endsWith('\u2069') ? { isolated: part.slice(1, -1) } : { plain: part.replace(HIDES, (char) => (char === '\n' ? char : byNumber(char))) }));

const number = (n) => Number(n).toLocaleString(language === 'zh' ? 'zh-CN' : 'en-GB');

// Bytes as people say them, with the exact number where it is short.
function bytes(n) {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let [value, unit] = [n, 0];
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit ? value.toFixed(value < 10 ? 2 : 1) : value} ${units[unit]}`;
}

// A time of a receipt. Courts in China also read it by their own clocks.
function moment(iso) {
  const utc = `${iso.replace('T', ' ').replace('Z', '')} UTC`;
  const at = Date.parse(iso);
  if (language !== 'zh' || Number.isNaN(at)) return utc;
  const beijing = new Date(at + 8 * 3600e3).toISOString().slice(0, 19).replace('T', ' ');
  return `${utc}（北京时间 ${beijing}）`;
}

const WORDS = {
  title: ['离线核验', 'offline verification'],
  drop_title: ['把文件拖到这里', 'Drop files here'],
  drop_hint: [
    '作品文件及其收据（.timemark）或证书 PDF；或一个证据包（zip）。策略文件（policy.txt）请单独加入。',
    'A work with its receipt (.timemark) or certificate PDF; or an evidence bundle (zip). Add a policy (policy.txt) by itself.',
  ],
  choose: ['选择文件…', 'Choose files…'],
  private: [
    '全部在本机浏览器内计算，可断网使用；任何文件都不会被上传或保存。',
    'Everything is computed in this browser, even with the network off. No file is uploaded or stored.',
  ],
  cancel: ['取消', 'Cancel'],
  footer: [
    '本页面是一个独立文件。请用 sha256sum verify.html 计算其摘要，并与运营方公布的值比对。',
    'This page is one file. Compare its digest (sha256sum verify.html) with the one that the operator publishes.',
  ],
  restart: ['重新开始', 'Start again'],
  remove: [(role) => `移除${role}`, (role) => `Remove the ${role}`],

  guide_files: ['文件与收据', 'The file and its receipt'],
  guide_files_text: [
    '请使用原始文件：另存、压缩或转换格式后都不再是同一份文件。收据与作品同名，以 .timemark 结尾。',
    'Use the original: a file that was saved again, compressed or converted is another file. The receipt has its name, with .timemark at the end.',
  ],
  guide_trust: ['信任谁', 'Whom to trust'],
  guide_trust_text: [
    '策略文件写明日志与见证人的公钥。请直接向日志运营方取得，而非由提交证据的一方提供。',
    'A policy names the keys of log and witnesses. Get it from the operator of the log, not from the party that submits the evidence.',
  ],
  guide_verdict: ['结论与复算', 'A verdict that can be recomputed'],
  guide_verdict_text: [
    '已核验、未通过或无法判定，并附证明路径、时间线，以及专家用通用工具复算每一步的命令。',
    'Verified, refused or undecided, with the proof, a timeline, and for each step the commands by which an expert recomputes it with other tools.',
  ],

  role_work: ['作品文件', 'work'],
  role_receipt: ['收据', 'receipt'],
  role_certificate: ['证书', 'certificate'],
  role_policy: ['策略文件', 'policy'],
  role_bundle: ['证据包', 'bundle'],
  wanted_work: ['还需要：作品文件（原始文件）', 'Still needed: the work itself, the original file'],
  wanted_receipt: ['还需要：收据（.timemark）或证书 PDF', 'Still needed: its receipt (.timemark) or certificate PDF'],

  reading: [(name) => `正在读取并计算 ${name}`, (name) => `Reading and hashing ${name}`],
  progress: [
    (at, of, percent) => `${at} / ${of}（${percent}%）`,
    (at, of, percent) => `${at} of ${of} (${percent} %)`,
  ],
  cancelled: ['已取消读取。', 'Reading was cancelled.'],
  starting: ['正在启动核验程序…', 'Starting the verifier…'],

  fault_folder: [
    (name) => `“${name}”是文件夹。请拖入其中的文件；多件作品请使用证据包。`,
    (name) => `“${name}” is a folder. Drop the files in it; for many works at once use an evidence bundle.`,
  ],
  fault_two: [
    (role, a, b) => `“${a}”和“${b}”都是${role}，一次只能核验一个。`,
    (role, a, b) => `“${a}” and “${b}” would both be the ${role}. Check one at a time.`,
  ],
  fault_bundle_and: [
    (name) => `证据包自带全部文件，因此未使用“${name}”。`,
    (name) => `A bundle brings its own files, so “${name}” is not used.`,
  ],
  fault_read: [
    (name) => `无法读完“${name}”：选择之后，它被更改、移动或删除，或者其所在磁盘不可读。请重新选择。`,
    (name) => `“${name}” could not be read to its end: since it was chosen it was changed, moved or deleted, or its disk cannot be read. Choose it again.`,
  ],
  fault_wasm: [
    (detail) => `核验程序意外停止（${detail}）。未得出任何结论。请重试；若再次发生，请改用命令行程序核验。`,
    (detail) => `The verifier stopped unexpectedly (${detail}). Nothing was decided. Try again; should it happen twice, use the command line program.`,
  ],
  fault_start: [
    (detail) => `此浏览器无法运行核验程序（${detail}）。请使用新版 Chrome、Edge、Firefox 或 Safari。`,
    (detail) => `This browser cannot run the verifier (${detail}). Use a current Chrome, Edge, Firefox or Safari.`,
  ],
  fault_policy: [
    (name, reason) => `“${name}”无法作为策略文件读取：${reason}`,
    (name, reason) => `“${name}” cannot be read as a policy: ${reason}`,
  ],
  policy_with: [
    (name) => `“${name}”看似策略文件，但它与证据一同加入，因此未被采用：信任谁，不能由提交证据的一方决定。如果它是您从日志运营方取得的，请单独加入：点击“加入策略文件…”，或只拖入这一个文件。`,
    (name) => `“${name}” looks like a policy but came together with the evidence, so it is not used: who submits evidence must not choose whom you trust. If you have it from the operator of the log, add it by itself: with “Add a policy…”, or by dropping this one file alone.`,
  ],
  note_zip: [
    (name) => `“${name}”不是证据包（首个条目不是 manifest.txt），因此作为作品文件处理。`,
    (name) => `“${name}” is no evidence bundle (its first entry is not manifest.txt), so it is taken for the work.`,
  ],
  note_named: [
    (name) => `“${name}”以 .timemark 命名，但开头不像收据。`,
    (name) => `“${name}” is named like a receipt but does not begin like one.`,
  ],

  verdict_verified: ['已核验', 'Verified'],
  verdict_refused: ['未通过', 'Refused'],
  verdict_undecided: ['无法判定', 'Undecided'],
  line_receipt_verified: ['这正是当时登记的那份文件', 'this is the very file that was registered'],
  line_receipt_refused: ['不能证明这份文件曾被登记', 'this does not prove that the file was registered'],
  line_receipt_undecided: ['尚缺判定所需的依据', 'something needed to decide is missing'],
  line_bundle_verified: ['证据包完整，其中每份收据均成立', 'the bundle is whole and every receipt in it holds'],
  line_bundle_refused: ['证据包未通过核验', 'this bundle does not hold'],
  line_bundle_undecided: ['尚缺判定所需的依据', 'something needed to decide is missing'],

  works_absent: [
    (n, of) => `${of} 份收据中，有 ${n} 份所涉的作品不在此证据包内`,
    (n, of, count) => `${n} of ${of} receipts ${count === 1 ? 'is about a work that is' : 'are about works that are'} not in this bundle`,
  ],

  proven: ['证明了什么', 'What is proven'],
  by_when: ['最迟何时、由谁见证', 'By when, by whose word'],
  not_proven: ['没有证明什么', 'What is not proven'],
  proven_bytes: [
    '文件的长度、SHA-256、SHA-512 和 SM3 与登记声明一致：一个字节也没有变过。',
    'Length, SHA-256, SHA-512 and SM3 of the file are those of the registered claim: not one byte differs.',
  ],
  proven_log: [
    (log, index) => `日志 ${log} 收录了该声明，为第 ${index} 号条目。`,
    (log, index) => `The log ${log} holds that claim as its entry ${index}.`,
  ],
  proven_creator: [
    '声明由其所列创作者密钥签名。',
    'The claim was signed with the creator’s key that it names.',
  ],
  proven_bundle: [
    (files) => `清单中的 ${files} 个文件全部在内，长度和 SHA-256 均一致。`,
    (files) => `All ${files} files of the manifest are there, with the lengths and SHA-256 that it lists.`,
  ],
  proven_items: [
    (n) => `其中 ${n} 份收据均成立。`,
    (n) => `All ${n} receipts in it hold.`,
  ],
  proven_nothing: ['未通过核验的材料不证明任何事项。', 'What is refused proves nothing.'],
  proven_not_yet: ['在补齐依据之前，不作任何结论。', 'Until what is missing is there, nothing is concluded.'],
  existed_by: [(time) => `最迟于 ${time} 已存在`, (time) => `It existed by ${time}`],
  by_witnesses: [
    (names) => `依据：独立见证人 ${names} 的联署时间。`,
    (names) => `On the word of independent witnesses: ${names}.`,
  ],
  by_authority: [
    (names) => `依据：可信时间戳机构 ${names} 的时间戳（RFC 3161）。`,
    (names) => `On the word of a time-stamp authority: ${names} (RFC 3161).`,
  ],
  by_nobody: [
    '没有独立方证明时间。日志自己的时钟不作数。',
    'No independent party states a time. The log’s own clock does not count.',
  ],
  disagreement: [
    (s) => `注意：时间戳机构之间相差 ${s} 秒，超出策略容许范围。`,
    (s) => `Note: the authorities differ by ${s} seconds, more than the policy tolerates.`,
  ],
  trust_given: ['依据您加入的策略文件判定，其 SHA-256：', 'Judged under the policy that you added. Its SHA-256:'],
  trust_bundle: ['依据证据包内的策略文件判定，您所确认的 SHA-256：', 'Judged under the bundle’s policy. The SHA-256 that you confirmed:'],
  trust_published: [
    '它必须是日志运营方公布的值，请比对。若不一致，此结论毫无意义。',
    'It must be the one that the operator of the log publishes: compare them. Under any other policy this verdict means nothing.',
  ],
  not_authorship: [
    '谁创作了作品、谁享有权利：名称、声明人、创作日期等均为登记人自述。',
    'Who created the work or owns rights in it: title, claimant and date of creation are what the registrant said.',
  ],
  not_first: [
    '此前无人创作或登记过相同或相似的作品。',
    'That nobody made or registered the same or a similar work before.',
  ],
  first_failed: ['首个未通过的检查', 'The first check that failed'],
  failed_at: [(at) => `位置：${at}`, (at) => `Where: ${at}`],
  meaning: ['这意味着什么', 'What this means'],
  meaning_work: [
    '文件在登记之后被改动过（哪怕一个字节），或者这是另一份文件的收据。请取得原始文件再试。',
    'The file was changed after it was registered, be it by one byte, or the receipt is that of another file. Try with the original.',
  ],
  meaning_other: [
    '收据或证据包被改动、损坏，或签名者不被此策略信任。它不证明任何事项。',
    'The receipt or bundle was altered or damaged, or signed by someone whom this policy does not trust. It proves nothing.',
  ],
  computed: ['实际计算', 'Computed'],
  expected: ['应为', 'Expected'],

  needed: ['判定还需要什么', 'What is needed to decide'],
  trust_missing_receipt: [
    '文件与收据相符；还需知道应当信任谁。',
    'File and receipt belong together; what is missing is whom to trust.',
  ],
  trust_missing_bundle: [
    '证据包自身完整一致；还需知道应当信任谁。',
    'The bundle is whole and consistent; what is missing is whom to trust.',
  ],
  need_policy: [
    '需要一份策略文件（policy.txt）：它写明信任哪个日志的公钥以及哪些见证人。请直接向日志运营方索取，不要向提交证据的一方索取。',
    'A policy (policy.txt): it names the keys of the log and the witnesses to trust. Get it from the operator of the log, not from the party that submits the evidence.',
  ],
  need_keys: ['收据称由以下密钥签名（尚未核验）：', 'The receipt says that these keys signed it (not checked yet):'],
  need_work: [
    '作品文件本身，即原始文件：将它拖入本页，或点击“选择文件”。',
    'The work itself, as the original file: drop it on this page, or choose it above.',
  ],
  add_policy: ['加入策略文件…', 'Add a policy…'],
  need_confirm: [
    '或者：确认证据包内 policy.txt 的 SHA-256。请填入您从运营方（而非提交方）取得的值。',
    'Or confirm the policy.txt inside the bundle: enter its SHA-256 as you got it from the operator, not from the submitting party.',
  ],
  confirm_label: ['运营方公布的 policy.txt 的 SHA-256（64 位十六进制）', 'SHA-256 of policy.txt as the operator states it (64 hex digits)'],
  confirm: ['确认', 'Confirm'],
  confirm_form: ['这不是 64 位十六进制的 SHA-256。', 'This is no SHA-256 of 64 hex digits.'],
  confirm_other: [
    '证据包内的 policy.txt 不是这个摘要：不要信任它，请向运营方索取策略文件。',
    'The policy.txt inside the bundle has another digest: do not trust it; ask the operator for the file.',
  ],
  need_other: [
    '请向运营方索取包含更多联署或续期证明的收据，或适用的策略文件。',
    'Ask the operator for a receipt with the cosignatures or renewals that the policy demands, or for the policy that applies.',
  ],

  drawing: ['证明路径', 'The proof'],
  drawing_of: [(n, of) => `证明路径（锚点 ${n} / ${of}）`, (n, of) => `The proof (anchor ${n} of ${of})`],
  drawing_caption: [
    '蓝色：由文件的叶子逐级算出；绿色：收据给出的相邻哈希；金色：经签名的检查点。',
    'Blue is computed upwards from the leaf of the file, green are hashes that the receipt gives, gold is the signed checkpoint.',
  ],
  drawing_counts: [
    (k, n) => `${k} 个哈希即可证明它是 ${n} 个条目之一。`,
    (k, n) => `${k} ${k === 1 ? 'hash proves' : 'hashes prove'} that it is one of ${n} entries.`,
  ],
  drawing_single: [
    '日志此时只有这一个条目，它的哈希就是检查点。',
    'The log held this one entry, so its hash is the checkpoint.',
  ],
  drawing_text: [
    (name, index, size, levels, root) => `文件 ${name} 的叶子是 ${size} 个条目中的第 ${index} 号，经 ${levels} 级哈希到达检查点 ${root}。`,
    (name, index, size, levels, root) => `The leaf of ${name} is entry ${index} of ${size}; ${levels} levels of hashes lead to the checkpoint ${root}.`,
  ],
  tree_head: [(size) => `检查点 · ${size} 个条目`, (size) => `checkpoint · ${size} ${size === '1' ? 'entry' : 'entries'}`],
  root: ['根', 'root'],
  entry: [(index) => `条目 ${index}`, (index) => `entry ${index}`],
  leaf: ['叶子', 'leaf'],
  covers: [(n) => `${n} 个条目`, (n) => (n === '1' ? '1 entry' : `${n} entries`)],
  elided: [(n) => `中间省略 ${n} 级`, (n) => `${n} levels not drawn`],
  draw_all: [(n) => `画出全部 ${n} 级`, (n) => `Draw all ${n} levels`],
  more_seals: [(n) => `另有 ${n} 个，见下方检查`, (n) => `and ${n} more, see the checks`],
  as_table: ['以表格显示路径', 'The path as a table'],
  level: ['级', 'Level'],
  sibling: ['相邻哈希', 'Sibling'],
  parent: ['算得的上级', 'Parent computed'],
  left: ['左', 'left'],
  right: ['右', 'right'],
  broken_file: ['文件不符', 'other file'],
  broken_root: ['不能到达检查点', 'does not lead to the checkpoint'],
  seal_log: ['日志', 'Log'],
  seal_witness: ['见证人', 'Witness'],
  seal_unknown: ['未知密钥', 'Unknown key'],
  seal_timestamp: ['时间戳', 'Time-stamp'],
  seal_no_authority: ['未知机构', 'unknown authority'],
  state_holds: ['成立', 'holds'],
  state_false: ['伪造', 'false'],
  state_unchecked: ['未核验', 'not checked'],
  'state_not counted': ['不计入', 'not counted'],

  timeline: ['时间线', 'Timeline'],
  timeline_caption: [
    '实心点有独立来源；斜线仅为登记人自述；绿色区间表示已证明存在。',
    'Solid dots have an independent source, hatching is a mere claim, and the green band is when existence is proven.',
  ],
  event_created: ['创作（自述）', 'Created, as claimed'],
  event_witness: [(name) => `见证人 ${name} 联署`, (name) => `Cosigned by ${name}`],
  event_timestamp: [(name) => `时间戳机构 ${name}`, (name) => `Time-stamped by ${name}`],
  event_renewal: [
    (name, about) => `续期（${about === 'receipt' ? '整份收据' : '检查点'}）：${name}`,
    (name, about) => `Renewed (${about === 'receipt' ? 'the receipt' : 'checkpoint'}) by ${name}`,
  ],
  event_unchecked: [(name) => `${name} 签名（未核验）`, (name) => `Signed by ${name}, not checked`],
  event_existed: ['已证明存在', 'existence proven'],
  event_unreadable: ['无法读作日期', 'not a date that can be placed'],
  renew_before: [
    (about, time) => `${about === 'receipt' ? '整份收据' : '检查点'}的证明须在 ${time} 前再次续期。`,
    (about, time) => `What renews the ${about === 'receipt' ? 'receipt' : 'checkpoint'} is to be renewed again before ${time}.`,
  ],

  amendment: ['更正与撤回', 'Corrections and withdrawals'],
  corrects: [(n) => `本声明更正条目 ${n} 的声明。`, (n) => `This claim corrects that of entry ${n}.`],
  withdraws: [
    (n) => `本声明撤回条目 ${n} 的声明：不再主张任何事项。`,
    (n) => `This claim withdraws that of entry ${n}: nothing is claimed any more.`,
  ],
  corrected_by: [
    (n) => `本声明已由条目 ${n} 更正，以更正为准。`,
    (n) => `This claim was corrected by entry ${n}, which stands in its place.`,
  ],
  withdrawn_by: [
    (n) => `本声明已由条目 ${n} 撤回：不再主张任何事项。`,
    (n) => `This claim was withdrawn by entry ${n}: nothing is claimed any more.`,
  ],
  corrected_claim: ['更正后的声明', 'What is claimed now'],
  amendment_unchecked: ['收据如此记载，尚未核验。', 'The receipt says so; it is not verified yet.'],
  fault_beside: [
    (name) => `另一份收据 ${name} 无法读取，未予考虑。`,
    (name) => `The other receipt, ${name}, cannot be read and was not considered.`,
  ],

  claim: ['登记声明', 'The claim'],
  claim_caption: ['登记人所述；本页核验的是它何时被记录，而非其内容是否属实。', 'What the registrant said. That it was said is proven, not that it is true.'],
  claim_title: ['名称', 'Title'],
  claim_claimant: ['声明人', 'Claimant'],
  claim_created: ['创作日期', 'Created'],
  claim_rights: ['权利声明', 'Rights'],
  claim_collection: ['所属集合', 'Collection'],
  claim_corrects: ['更正', 'Corrects'],
  claim_withdraws: ['撤回', 'Withdraws'],
  claim_path: ['路径', 'Path'],
  claim_media_type: ['媒体类型', 'Media type'],
  claim_length: ['长度', 'Length'],
  claim_sha256: ['SHA-256', 'SHA-256'],
  claim_sha512: ['SHA-512', 'SHA-512'],
  claim_sm3: ['SM3', 'SM3'],
  claim_cid: ['内容标识 CID', 'Content id (CID)'],
  claim_creator_key: ['创作者公钥', 'Creator’s key'],
  bytes_exact: [(n) => `${n} 字节`, (n) => `${n} bytes`],
  your_file: ['您的文件', 'Your file'],

  checks: ['逐项检查', 'The checks'],
  checks_caption: [
    (passed, failed, unchecked) => `${passed} 项通过，${failed} 项失败，${unchecked} 项未核验。展开可见计算过程与复算命令。`,
    (passed, failed, unchecked) => `${passed} passed, ${failed} failed, ${unchecked} not checked. Open one to see what was computed and how to recompute it.`,
  ],
  step_passed: ['通过', 'passed'],
  step_failed: ['失败', 'failed'],
  step_missing: ['缺少', 'missing'],
  step_unchecked: ['未核验', 'not checked'],
  step_anchor: [(n) => `锚点 ${n}`, (n) => `anchor ${n}`],
  command: ['专家复算命令', 'How an expert recomputes it'],
  copy: ['复制', 'Copy'],
  copied: ['已复制', 'Copied'],
  copy_failed: ['请手动选择复制', 'Select and copy it by hand'],
  step_files: ['所需文件', 'Files for it'],
  open_all: ['全部展开', 'Open all'],
  close_all: ['全部收起', 'Close all'],
  remarks: ['不计入的时间戳', 'Time-stamps that do not count'],

  bundle: ['证据包', 'The bundle'],
  bundle_profile: ['用途', 'Profile'],
  profile: [
    (p) => ({ 'cn-court': '中国法院 / 公证（cn-court）', 'us-fre902': '美国联邦证据规则 902（us-fre902）', 'eu-eidas': '欧盟 eIDAS（eu-eidas）' })[p] || p,
    (p) => ({ 'cn-court': 'courts and notaries in China (cn-court)', 'us-fre902': 'US Federal Rules of Evidence 902 (us-fre902)', 'eu-eidas': 'EU eIDAS (eu-eidas)' })[p] || p,
  ],
  profile_stated: ['（由制作者声明，未经核验）', '(stated by whoever made the bundle; not checked)'],
  bundle_files: ['文件', 'Files'],
  bundle_bytes: ['大小', 'Size'],
  bundle_policy: ['所含 policy.txt 的 SHA-256', 'SHA-256 of its policy.txt'],
  bundle_sealed: ['清单本身的登记', 'Registration of the manifest'],
  items: [(n) => `收据（${n}）`, (n) => `Receipts (${n})`],
  items_shown: [(n, of) => `显示 ${n} / ${of}`, (n, of) => `${n} of ${of} shown`],
  only_problems: [(n) => `只看有问题的（${n}）`, (n) => `Only problems (${n})`],
  search: ['按名称筛选', 'Filter by name'],
  show_more: [(n) => `再显示 ${n} 项`, (n) => `Show ${n} more`],
  no_items: ['没有符合条件的收据。', 'No receipt is like that.'],
  work_absent: ['作品不在包内', 'work not in the bundle'],
  loading: ['正在核验…', 'Checking…'],
};
