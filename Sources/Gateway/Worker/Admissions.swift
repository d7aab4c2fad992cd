// Which rule let each connection begin: one note a connection, beside the table. For `weir top`.

#if os(Linux)
  import Conntrack
  import Firewall
  import Ruleset
  import Wire

  struct Admissions: ~Copyable {
    /// All zero: none.
    struct Note: BitwiseCopyable {
      /// Of the connection; its number may be another's by now.
      var identity: UInt32 = 0
      /// The rules' version and one more, since 0 is none.
      var rules: UInt32 = 0
      var rule = RuleReference(chain: 0, number: 0)
    }

    /// Memory is taken as connections come.
    private let notes: FlatArray<Note>

    init(capacity: Int) { notes = FlatArray(count: capacity) }

    /// A packet of a connection that no one has answered has passed: if it is the first, its rule is the one.
    @inline(__always)
    func note(_ outcome: PacketOutcome, _ firewall: borrowing Firewall) {
      guard !outcome.connection.isNone else { return }
      let place = Int(outcome.connection.rawValue)
      let identity = firewall.tracker.identity(outcome.connection)
      if notes[place].identity == identity && notes[place].rules != 0 { return }
      var rule = RuleReference.none
      if case .rule(let decided) = outcome.reason { rule = decided }
      notes[place] = Note(
        identity: identity, rules: UInt32(truncatingIfNeeded: firewall.rulesVersion) &+ 1,
        rule: rule)
    }

    /// What is known of how a connection began.
    enum Answer: Hashable {
      case rule(RuleReference)
      /// By rules that were replaced since.
      case formerRules
      /// By a command, from a file, or expected by a helper.
      case unknown
    }

    func rule(_ connection: ConnectionNumber, _ firewall: borrowing Firewall) -> Answer {
      let note = notes[Int(connection.rawValue)]
      guard note.rules != 0, note.identity == firewall.tracker.identity(connection) else {
        return .unknown
      }
      let current = UInt32(truncatingIfNeeded: firewall.rulesVersion) &+ 1
      return note.rules == current ? .rule(note.rule) : .formerRules
    }
  }
#endif
