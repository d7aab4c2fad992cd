// Colours on a terminal, through Rainbow; none anywhere else, nor where NO_COLOR is set
// (no-color.org).

import Foundation
import Rainbow
import Replay

enum Palette {
  /// What text on standard output should look like here.
  static func forStandardOutput() -> TextStyle {
    let environment = ProcessInfo.processInfo.environment
    let isUnwanted = !(environment["NO_COLOR"] ?? "").isEmpty || environment["TERM"] == "dumb"
    return Foreign.isTerminal(1) && !isUnwanted ? colours : .plain
  }

  private static var colours: TextStyle {
    TextStyle { role in
      let parts = styled("|", role).split(separator: "|", omittingEmptySubsequences: false)
      return parts.count == 2 ? (String(parts[0]), String(parts[1])) : ("", "")
    }
  }

  private static func styled(_ text: String, _ role: TextStyle.Role) -> String {
    switch role {
    case .good: text.green
    case .bad: text.red
    case .notable: text.yellow
    case .fresh: text.cyan
    case .changed: text.magenta
    case .faint: text.dim
    case .heading: text.bold
    }
  }
}
