// `-j CONNMARK`: changes the connection's mark, or carries a mark between packet and connection
// (iptables-extensions(8), CONNMARK).

/// Changes, saves or restores the connection's mark.
public struct ConnmarkTarget: RuleTarget {
  public static let name = "CONNMARK"
  private static let modes = MarkChange.names + ["--save-mark", "--restore-mark"]
  public static let options =
    modes.map { name in
      OptionRule(
        name, arguments: name.hasSuffix("e-mark") ? 0 : 1, excludes: modes.filter { $0 != name })
    } + [
      OptionRule("--mask", excludes: ["--nfmask", "--ctmask"]),
      OptionRule("--nfmask", excludes: ["--mask"]),
      OptionRule("--ctmask", excludes: ["--mask"]),
      OptionRule("--left-shift-mark", excludes: ["--right-shift-mark"]),
      OptionRule("--right-shift-mark", excludes: ["--left-shift-mark"]),
    ]

  public enum Mode: Hashable, Sendable {
    /// Connection mark = (connection mark & ~mask) ^ value
    case set(MarkChange)
    /// Connection mark = (connection mark & ~ctmask) ^ (mark & nfmask)
    case save
    /// mark = (mark & ~nfmask) ^ (connection mark & ctmask)
    case restore
  }

  public var mode: Mode?
  public var packetMask: UInt32 = .max
  public var connectionMask: UInt32 = .max
  /// To the left when positive, -31 to 31.
  public var shift: Int32 = 0
  private var hasConnectionMask = false

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    switch use.name {
    case "--save-mark": mode = .save
    case "--restore-mark": mode = .restore
    case "--mask":
      packetMask = UInt32(try use.argument.number(upTo: 0xFFFF_FFFF))
      connectionMask = packetMask
      hasConnectionMask = true
    case "--nfmask": packetMask = UInt32(try use.argument.number(upTo: 0xFFFF_FFFF))
    case "--ctmask":
      connectionMask = UInt32(try use.argument.number(upTo: 0xFFFF_FFFF))
      hasConnectionMask = true
    case "--left-shift-mark": shift = Int32(try use.argument.number(upTo: 31))
    case "--right-shift-mark": shift = -Int32(try use.argument.number(upTo: 31))
    default:
      var change = MarkChange()
      try change.take(use)
      mode = .set(change)
    }
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    guard let mode else {
      throw scope.word.problem("`-j CONNMARK` needs an option, such as `--save-mark`")
    }
    if case .set(var change) = mode {
      if hasConnectionMask { change.mask = connectionMask }
      self.mode = .set(change)
      // The masks are part of the change now.
      packetMask = .max
      connectionMask = .max
      hasConnectionMask = false
    }
    hasConnectionMask = false
  }

  public func write(to text: inout RuleText) {
    switch mode {
    case .set(let change): text.add("--set-xmark", change.text)
    case .save, .restore:
      text.add(mode == .save ? "--save-mark" : "--restore-mark")
      text.add("--nfmask", Numbers.hex(packetMask))
      text.add("--ctmask", Numbers.hex(connectionMask))
    case nil: break
    }
    if shift > 0 { text.add("--left-shift-mark", "\(shift)") }
    if shift < 0 { text.add("--right-shift-mark", "\(-shift)") }
  }

  public func list(to text: inout ListText) {
    switch mode {
    case .set(let change): text.add("CONNMARK \(change.listText)")
    case .save?, .restore?: text.add("CONNMARK \(mode == .save ? "save" : "restore")")
    case nil: break
    }
    let nf = Numbers.hex(packetMask)
    let ct = Numbers.hex(connectionMask)
    switch mode {
    case .save?, .restore?:
      if packetMask == connectionMask {
        if packetMask != .max { text.add("mask", nf) }
      } else {
        text.add(mode == .save ? "nfmask \(nf) ctmask ~\(ct)" : "ctmask \(ct) nfmask ~\(nf)")
      }
    default: break
    }
  }

  public func compile(into compiler: inout RulesetCompiler) {
    switch mode {
    case .set(let change):
      compiler.set(RuleAction(.setConnectionMark, a: change.mask, b: change.value, c: shift))
    case .save:
      compiler.set(RuleAction(.saveMark, a: connectionMask, b: packetMask, c: shift))
    case .restore:
      compiler.set(RuleAction(.restoreMark, a: connectionMask, b: packetMask, c: shift))
    case nil: break
    }
  }
}
