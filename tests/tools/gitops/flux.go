package main

import (
	"context"

	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/jsondiff"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const helmController = "helm-controller" // the field manager of Flux's helm-controller

// kustomizeController is the owner under which Flux's kustomize-controller applies.
var kustomizeController = ssa.Owner{Field: "kustomize-controller", Group: "kustomize.toolkit.fluxcd.io"}

// fluxApply does what kustomize-controller does at each interval: it applies the object if a dry-run shows a drift.
func fluxApply(ctx context.Context, found *cluster, asked request) (answer, error) {
	options := ssa.DefaultApplyOptions()
	options.DriftIgnoreRules = ignoreRules(asked.Ignore)
	manager := ssa.NewResourceManager(found.client, nil, kustomizeController)
	changes, err := manager.ApplyAll(ctx, []*unstructured.Unstructured{asked.Object}, options)
	if err != nil {
		return answer{}, err
	}
	action := changes.Entries[0].Action
	return answer{Differs: action != ssa.UnchangedAction, Action: action.String()}, nil
}

// fluxDiff does what `flux diff kustomization` does: it compares a dry-run with the live object and writes nothing.
func fluxDiff(ctx context.Context, found *cluster, asked request) (answer, error) {
	options := ssa.DefaultDiffOptions()
	options.DriftIgnoreRules = ignoreRules(asked.Ignore)
	manager := ssa.NewResourceManager(found.client, nil, kustomizeController)
	entry, _, _, err := manager.Diff(ctx, asked.Object, options)
	if err != nil {
		return answer{}, err
	}
	return answer{Differs: entry.Action != ssa.UnchangedAction, Action: entry.Action.String()}, nil
}

// helmDrift does what helm-controller's drift detection does with an object of a release, and writes nothing.
func helmDrift(ctx context.Context, found *cluster, asked request) (answer, error) {
	set, err := jsondiff.UnstructuredList(ctx, found.client, []*unstructured.Unstructured{asked.Object},
		jsondiff.FieldOwner(helmController), jsondiff.IgnoreRules(ignoreRules(asked.Ignore)), jsondiff.Rationalize(true))
	if err != nil {
		return answer{}, err
	}
	said := answer{Differs: set.HasChanges(), Action: string(set[0].Type), Changes: []string{}}
	for _, operation := range set[0].Patch {
		said.Changes = append(said.Changes, operation.Type+" "+operation.Path)
	}
	return said, nil
}

func ignoreRules(pointers []string) []jsondiff.IgnoreRule {
	if len(pointers) == 0 {
		return nil
	}
	return []jsondiff.IgnoreRule{{Paths: pointers, Selector: &jsondiff.Selector{Kind: "Deployment"}}}
}
