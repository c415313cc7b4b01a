# Run in the workspace of a lane, as the agent: packs all that is there into a
# bundle. Arguments: the commit that the agent began with, and the file to write.
set -eu
base=$1 bundle=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Whoever held these was killed: an agent is stopped before it is captured.
directory=$(git rev-parse --absolute-git-dir)
find "$directory" -name '*.lock' -type f -delete
# An object has content, so these are names that outlived a machine whose disk had not
# got the rest yet. Git would take them for what it was about to write.
find "$directory/objects" -type f -empty -delete
# The same state is the same commit, whenever it is captured.
export GIT_AUTHOR_DATE='@0 +0000' GIT_COMMITTER_DATE='@0 +0000'
export GIT_AUTHOR_NAME=capture GIT_AUTHOR_EMAIL=capture@localhost
export GIT_COMMITTER_NAME=capture GIT_COMMITTER_EMAIL=capture@localhost
head=$(git rev-parse --verify --quiet HEAD || echo "$base")
index=$(git rev-parse --git-path index)
# What was staged, as it was: an index that is being merged has no tree.
staged=$(git write-tree 2> /dev/null || git rev-parse "$head^{tree}")
# Git takes a file for unchanged that has the size and the times that the index
# knows, unless the index is no younger than the file. A copy is always younger, so
# it is given an age at which git reads every file.
[ ! -e "$index" ] || { cp "$index" "$work/index"; touch -d @1 "$work/index"; }
export GIT_INDEX_FILE="$work/index"
# A directory that git cannot open it skips, with a warning.
add() {
    if LC_ALL=C git -c core.hooksPath=/dev/null -c core.fsmonitor=false \
        -c core.untrackedCache=false add --all . 2> "$work/said"; then
        grep -q '^warning: could not open directory' "$work/said" || return 0
    fi
    cat "$work/said" >&2
    return 1
}
# What their owner may not read is opened. What is nested too deeply cannot be taken:
# then somebody has to look, and all of it stays.
if ! add 2> /dev/null; then
    find . -type d ! -perm -u=rwx -exec chmod u+rwx {} \;
    find . -type f ! -perm -u=r -exec chmod u+r {} \;
    add
fi
tree=$(git write-tree)
unset GIT_INDEX_FILE
staged=$(echo staged | git commit-tree "$staged" -p "$head")
found=$(echo work | git commit-tree "$tree" -p "$head" -p "$staged")
git update-ref refs/hotcell/work "$found"
git rev-parse --verify --quiet refs/stash > /dev/null && stash=refs/stash || stash=
git bundle create --quiet "$bundle" refs/hotcell/work --branches $stash "^$base"
git update-ref -d refs/hotcell/work
