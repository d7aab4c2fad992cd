// One iptables command, read but not yet carried out.

/// What one line asks for.
struct Command {
  enum Action {
    case append([RuleSpecification])
    /// Before rule `number`, from 1.
    case insert(number: Int, [RuleSpecification])
    case replace(number: Int, [RuleSpecification])
    case delete([RuleSpecification])
    case deleteNumber(Int)
    case newChain
    /// Without a chain: every empty user chain.
    case deleteChain
    case renameChain(Word)
    /// Without a chain: every chain.
    case flush
    case zero(number: Int?)
    case setPolicy(Policy)
    case check([RuleSpecification])
    /// `-L`: a table for people.
    case list(ListForm, number: Int?)
    /// `-S`: commands.
    case listRules(ListForm, number: Int?)

    /// Whether it is one of the two.
    var lists: Bool {
      switch self {
      case .list, .listRules: true
      default: false
      }
    }
  }

  var table: TableName
  var chain: Word?
  var action: Action
  var counters: RuleCounters?
  var verb: Word
  /// `-L -Z`: zeroes the counters once they are listed.
  var zeroesAfterListing = false
  /// `-v`: what is changed is said.
  var isVerbose = false
}

/// How `-L` and `-S` print (iptables(8), OTHER OPTIONS).
struct ListForm: Hashable, Sendable {
  /// `-n`: ports and protocols as numbers.
  var isNumeric = false
  /// `-v`: with counters and interfaces.
  var isVerbose = false
  /// `-x`: counters in full.
  var isExact = false
  var hasLineNumbers = false
}

/// A verb of iptables(8), COMMANDS, by its short letter.
enum Verb: Character {
  case append = "A"
  case check = "C"
  case delete = "D"
  case insert = "I"
  case replace = "R"
  case list = "L"
  case listRules = "S"
  case flush = "F"
  case zero = "Z"
  case newChain = "N"
  case deleteChain = "X"
  case policy = "P"
  case renameChain = "E"

  /// Whether a rule follows.
  var takesRule: Bool {
    switch self {
    case .append, .check, .delete, .insert, .replace: true
    default: false
    }
  }

  var needsChain: Bool {
    switch self {
    case .list, .listRules, .flush, .zero, .deleteChain: false
    default: true
    }
  }
}

/// The options of iptables(8) itself: long name, short letter.
enum CoreOptions {
  static let letters: [String: Character] = [
    "--append": "A", "--check": "C", "--delete": "D", "--insert": "I", "--replace": "R",
    "--list": "L", "--list-rules": "S", "--flush": "F", "--zero": "Z", "--new-chain": "N",
    "--delete-chain": "X", "--policy": "P", "--rename-chain": "E",
    "--source": "s", "--src": "s", "--destination": "d", "--dst": "d", "--protocol": "p",
    "--in-interface": "i", "--out-interface": "o", "--fragments": "f", "--jump": "j", "--goto": "g",
    "--match": "m", "--table": "t", "--set-counters": "c", "--numeric": "n", "--verbose": "v",
    "--exact": "x", "--line-numbers": "0", "--wait": "w", "--wait-interval": "W",
    "--modprobe": "M", "--ipv4": "4", "--ipv6": "6", "--help": "h", "--version": "V",
  ]

  static let names: [String] = letters.keys.sorted()
}
