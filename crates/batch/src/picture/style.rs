//! How it looks, on light and on dark pages.

/// How many colours there are for areas.
pub(super) const AREAS: usize = 6;

/// Styles and arrow heads. Colours of areas keep their distance also for people who see
/// few of them (Okabe and Ito's palette).
pub(super) const STYLE: &str = "\
<style>
text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;fill:#1f2933}
.page{fill:#ffffff}
.head{font-size:19px;font-weight:600}
.sub{font-size:13px;fill:#52606d}
.lane{font-size:13px;font-weight:600;fill:#52606d}
.hour{font-size:11px;fill:#7b8794;text-anchor:middle}
.tick{stroke:#e4e7eb;stroke-width:1}
.row{fill:#f5f7fa}
.task{fill:#ffffff;stroke:#cbd2d9;stroke-width:1}
.task.critical{fill:#fff4ed;stroke:#d9480f;stroke-width:1.6}
.id{font-size:13px;font-weight:600}
.name{font-size:12px;fill:#3e4c59}
.small{font-size:11px;fill:#616e7c}
.arrow{fill:none;stroke:#7b8794;stroke-width:1.4}
.arrow.critical{stroke:#d9480f;stroke-width:2}
.shares{fill:none;stroke:#9a6fb0;stroke-width:1.4;stroke-dasharray:4 4}
.mark{fill:#7b8794}
.mark.critical{fill:#d9480f}
.area-0{fill:#0072b2}
.area-1{fill:#009e73}
.area-2{fill:#e69f00}
.area-3{fill:#cc79a7}
.area-4{fill:#56b4e9}
.area-5{fill:#d55e00}
@media (prefers-color-scheme:dark){
text{fill:#e4e7eb}
.page{fill:#14181d}
.sub,.lane{fill:#9aa5b1}
.hour{fill:#7b8794}
.tick{stroke:#2b333c}
.row{fill:#1b2128}
.task{fill:#252d36;stroke:#47525e}
.task.critical{fill:#3a241a;stroke:#ff8f57}
.name{fill:#cbd2d9}
.small{fill:#9aa5b1}
.arrow{stroke:#8a96a3}
.arrow.critical{stroke:#ff8f57}
.shares{stroke:#b58fca}
.mark{fill:#8a96a3}
.mark.critical{fill:#ff8f57}
}
</style>
<defs>
<marker id=\"head-mark\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path class=\"mark\" d=\"M0 0L8 4L0 8z\"/></marker>
<marker id=\"critical-head\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"9\" markerHeight=\"9\" markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path class=\"mark critical\" d=\"M0 0L8 4L0 8z\"/></marker>
</defs>
";
