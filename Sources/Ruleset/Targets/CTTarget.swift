// `-j CT` and `-j NOTRACK`: what connection tracking shall do with a packet it has not seen yet
// (iptables-extensions(8), CT, NOTRACK).

import Conntrack
import Wire

/// Leaves packets untracked, or tells tracking their zone, helper, timeouts and events.
public struct CTTarget: RuleTarget {
  public static let name = "CT"
  public static let tables: [TableName]? = [.raw]
  public static let options =
    [
      OptionRule("--notrack", arguments: 0), OptionRule("--helper"), OptionRule("--timeout"),
      OptionRule("--ctevents"), OptionRule("--expevents"),
    ] + ["--zone", "--zone-orig", "--zone-reply"].map { OptionRule($0) }

  public var isNotTracked = false
  public var tracking = TrackingOptions()
  private var zoneOptions: Set<String> = []

  public init() {}

  private static let events = [
    "new", "related", "destroy", "reply", "assured", "protoinfo", "helper", "mark", "natseqinfo",
    "secmark",
  ]

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    let word = use.argument
    switch use.name {
    case "--notrack": isNotTracked = true
    case "--helper": tracking.helper = word.text
    case "--timeout": tracking.timeoutPolicy = word.text
    case "--ctevents": tracking.events = try Self.list(word, among: Self.events)
    case "--expevents": tracking.expectationEvents = try Self.list(word, among: ["new"])
    default:
      // Of several the last number counts, but a mark stays; both directions are every direction.
      if word.text == "mark" {
        tracking.zone = .mark
      } else {
        let number = UInt16(try word.number(upTo: 65535))
        if tracking.zone != .mark { tracking.zone = .number(number) }
      }
      if use.name != "--zone" { zoneOptions.insert(use.name) }
    }
  }

  private static func list(_ word: Word, among names: [String]) throws(RulesetError) -> [String] {
    var found: Set<String> = []
    for part in word.parts(separator: ",") {
      guard names.contains(part.text) else {
        throw part.problem("unknown event `\(part.text)`", known: names)
      }
      found.insert(part.text)
    }
    return names.filter { found.contains($0) }
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    if tracking.helper != nil && scope.protocolNumber == nil {
      throw scope.word.problem("`--helper` needs a protocol, by `-p`")
    }
    if zoneOptions.count == 1 {
      tracking.zoneDirection = zoneOptions.contains("--zone-orig") ? .original : .reply
    }
    zoneOptions = []
    if let helper = tracking.helper, let number = scope.protocolNumber {
      tracking.helperKind =
        HelperKind(name: helper, scope.family, protocolNumber: number) ?? .none
    }
    // Zone 0 is what every packet has.
    if tracking.zone == .number(0) {
      tracking.zone = nil
      tracking.zoneDirection = .both
    }
  }

  /// The options in the order they are printed, without their dashes, and what follows each.
  private var printed: [(name: String, value: String?)] {
    var options: [(name: String, value: String?)] = []
    if isNotTracked { options.append(("notrack", nil)) }
    if let helper = tracking.helper { options.append(("helper", helper)) }
    if let policy = tracking.timeoutPolicy { options.append(("timeout", policy)) }
    if let events = tracking.events { options.append(("ctevents", events.joined(separator: ","))) }
    if let events = tracking.expectationEvents {
      options.append(("expevents", events.joined(separator: ",")))
    }
    if let zone = tracking.zone {
      let name =
        switch tracking.zoneDirection {
        case .both: "zone"
        case .original: "zone-orig"
        case .reply: "zone-reply"
        }
      switch zone {
      case .mark: options.append((name, "mark"))
      case .number(let number): options.append((name, "\(number)"))
      }
    }
    return options
  }

  public func write(to text: inout RuleText) {
    for option in printed {
      text.add("--" + option.name)
      if let value = option.value { text.add(value) }
    }
  }

  public func list(to text: inout ListText) {
    text.add("CT")
    for option in printed {
      text.add(option.name)
      if let value = option.value { text.add(value) }
    }
  }

  public func compile(into compiler: inout RulesetCompiler) {
    if isNotTracked {
      compiler.set(RuleAction(.doNotTrack))
    } else {
      if tracking != TrackingOptions() { compiler.uses.insert(.trackingOptions) }
      compiler.set(RuleAction(.track, a: compiler.add(tracking)))
    }
  }
}

/// Leaves packets untracked: CT --notrack by its older name.
public struct NotrackTarget: RuleTarget {
  public static let name = "NOTRACK"
  /// The kernel has it as a form of CT.
  public static let listName = "CT"
  public static let tables: [TableName]? = [.raw]
  public static let options: [OptionRule] = []

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {}

  public func write(to text: inout RuleText) {}

  public func list(to text: inout ListText) {
    text.add("NOTRACK")
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.set(RuleAction(.doNotTrack))
  }
}
